"""The images that the input gate is trained on, and the gate's answers to drawn ones."""

import numpy as np
import pytest

from semenet.data.phantom.frontal import draw_radiograph
from semenet.inference.input_gate import GATE_CLASSES, gate_graph, gate_input


@pytest.fixture
def samples(tool):
    return tool("input_gate/samples")


def drawn(samples, seed, count=3):
    """A few images of every kind, by kind."""
    rng = np.random.default_rng(seed)
    films = {kind: [samples.body_part_film(kind, rng) for _ in range(count)] for kind in samples.BODY_PARTS}
    return films | {
        kind: [samples.draw_section(kind, rng) for _ in range(count)] for kind in samples.SECTIONS
    }


def test_every_kind_is_drawn_with_contrast_and_equal_seeds_draw_equal_images(samples):
    first, again, other = (drawn(samples, seed, count=1) for seed in (1, 1, 2))
    for kind, (image,) in first.items():
        assert image.shape == (samples.SIDE, samples.SIDE)
        assert image.dtype == np.uint8
        assert image.std() > 8, kind
        np.testing.assert_array_equal(image, again[kind][0])
        assert (image != other[kind][0]).mean() > 0.1, kind


def test_the_gate_rejects_what_is_drawn(samples):
    images = [image for some in drawn(samples, 3).values() for image in some]
    thumbnails, flags = zip(*(gate_input(image) for image in images), strict=True)
    assert np.asarray(gate_graph()(np.stack(thumbnails), np.stack(flags))).any(axis=1).mean() >= 0.95


def test_kinds_can_be_left_out(samples):
    rng = np.random.default_rng(0)
    kinds = tuple(kind for kind in samples.BODY_PARTS if kind != "breast")
    films = samples.drawn_body_parts(4, rng, without=kinds)
    # A mammogram is black beside the breast; no other kind is left to fill the image.
    assert min((film < 30).mean() for film in films) > 0.1
    assert len(samples.drawn_sections(1, rng, without=("ultrasound",))) == len(samples.SECTIONS) - 1


def test_rearranged_tiles_are_those_of_one_radiograph_in_another_order(samples):
    frontal = draw_radiograph("normal", size=samples.SIDE, seed=1).image[np.newaxis]
    pools = samples.Pools(frontal, frontal, frontal, frontal, frontal)
    rng = np.random.default_rng(4)
    for _ in range(12):
        assert (samples._rearranged(pools, rng) != frontal[0]).mean() > 0.2


def test_a_sample_of_every_class_has_the_size_of_the_pools(samples):
    frontal = draw_radiograph("normal", size=samples.SIDE, seed=1).image[np.newaxis]
    pools = samples.Pools(frontal, frontal, frontal, frontal, frontal)
    rng = np.random.default_rng(5)
    for label in GATE_CLASSES:
        for _ in range(6):
            sample = samples.draw_sample(label, pools, rng)
            assert sample.shape == (samples.SIDE, samples.SIDE)
            assert sample.dtype == np.uint8
