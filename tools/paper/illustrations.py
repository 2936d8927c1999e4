"""Draws the paper's figures 2, 4, 8 and 15b from the images of manifests, or from phantoms.

Usage: python tools/paper/illustrations.py --out FOLDER [--manifest CSV ...] [--figures 2 4 8 15b]
           [--network RUN] [--seed 0]

- figure2: examples of every class of every manifest.
- figure4: what resizing to the network's input takes from a detail of a radiograph.
- figure8: the features of two radiographs after the first convolution, and after MoEx has exchanged their
  moments. --network is a run folder or .keras file of a MoEx network; without it, an untrained SEME-ResNet50.
- figure15b: the four views that the training set of dataset 2 is stacked of.

Each figure is written as .png and .pdf. Without --manifest, phantoms are drawn. Figure 15b needs lung masks
in the manifest (`semenet masks` predicts them).
"""

import dataclasses
import os
import pathlib
from typing import Literal

import numpy as np
import tyro
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.data.transforms.host import clahe, resize, resize_mask
from semenet.errors import SemenetError
from semenet.storage.atomic import output_folder, replacing

DATASETS = {"dataset 1": ("normal", "bacteria", "virus"), "dataset 2": ("COVID-19", "other_viral")}
COLUMNS = 4
PHANTOM_SIDE = 1024
INPUT_SIDES = (512, 224)
MOEX_SIDE = 224
VIEW_SIDE = 256


@dataclasses.dataclass(frozen=True)
class Example:
    """A radiograph of a figure.

    Attributes:
        dataset: the name of its data set.
        label: its class.
        image: uint8 `(H, W)`, values in [0, 255].
        mask: uint8 `(H, W)`, the lungs as 1; None if the manifest has no mask of it.
    """

    dataset: str
    label: str
    image: np.ndarray
    mask: np.ndarray | None


def main(
    out: pathlib.Path,
    manifest: tuple[pathlib.Path, ...] = (),
    figures: tuple[Literal["2", "4", "8", "15b"], ...] = ("2", "4", "8", "15b"),
    network: pathlib.Path | None = None,
    seed: int = 0,
) -> None:
    """Draws the figures.

    Args:
        out: Folder to write into.
        manifest: CSVs of radiographs; none draws phantoms.
        figures: Numbers of the figures to draw.
        network: Run folder or .keras file of a MoEx network for figure 8.
        seed: Seed of the choice of images, or of the phantoms.
    """
    examples = read_examples(manifest, seed) if manifest else draw_phantoms(seed)
    output_folder(out)
    for number in figures:
        figure = draw_figure_8(examples, network, seed) if number == "8" else DRAWN[number](examples)
        for suffix in (".png", ".pdf"):
            with replacing(out / f"figure{number}{suffix}") as temporary:
                figure.savefig(temporary, dpi=200)
        print(f"{out / f'figure{number}'}.png and .pdf")


def draw_phantoms(seed):
    """Returns `COLUMNS` phantoms of each class of both data sets."""
    examples = []
    for dataset, labels in DATASETS.items():
        for label in labels:
            for number in range(COLUMNS):
                seeds = (seed, len(examples), number)
                phantom = draw_radiograph(label, size=PHANTOM_SIDE, seed=seeds)
                examples.append(Example(dataset, label, phantom.image, phantom.lungs.astype(np.uint8)))
    return examples


def read_examples(manifests, seed):
    """Reads up to `COLUMNS` images of each class of each manifest, drawn by the seed.

    Raises:
        ImageError: an image or mask cannot be read.
        ManifestError: a manifest cannot be read.
    """
    examples = []
    for path in manifests:
        rows = read_manifest(path).rows
        for label, of_class in rows.groupby("label", sort=False):
            chosen = of_class.sample(min(COLUMNS, len(of_class)), random_state=seed)
            for row in chosen.to_dict("records"):
                image, mask = read_image_and_mask(row["path"], row.get("mask_path") or None)
                examples.append(Example(path.absolute().parent.name, label, image, mask))
    return examples


def draw_figure_2(examples):
    """Draws a line of examples for each class."""
    groups = {}
    for example in examples:
        groups.setdefault((example.dataset, example.label), []).append(example)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.0 * len(groups)), layout="constrained")
    grid = figure.subplots(len(groups), COLUMNS, squeeze=False)
    for line, ((dataset, label), found) in zip(grid, groups.items(), strict=True):
        for axes, example in zip(line, found, strict=False):
            _show(axes, example.image)
        for axes in line[len(found) :]:
            axes.set_visible(False)
        line[0].set_title(f"{dataset}: {label}", loc="left", fontsize="small")
    return figure


def draw_figure_4(examples):
    """Draws a radiograph and a detail of it, as it is and after resizing to inputs of networks."""
    example = max(examples, key=lambda example: min(example.image.shape))
    image = example.image
    sides = [side for side in INPUT_SIDES if side < min(image.shape)]
    if not sides:
        raise SemenetError(
            "Figure 4 shows what resizing loses, so it needs an image whose sides exceed "
            f"{min(INPUT_SIDES)} pixels. Received: {image.shape} at most. Pass another --manifest."
        )
    panels = {f"{image.shape[1]} x {image.shape[0]}, as stored": image}
    panels |= {f"{side} x {side}": resize(image, (side, side)) for side in sides}
    top, left = detail_corner(example)
    figure = Figure(figsize=(3 * len(panels), 6.2), layout="constrained")
    grid = figure.subplots(2, len(panels), squeeze=False)
    for (title, picture), above, below in zip(panels.items(), *grid, strict=True):
        height, width = picture.shape
        extent = (0, image.shape[1], image.shape[0], 0)
        _show(above, picture, extent=extent)
        above.set_title(title, fontsize="medium")
        box = (left * image.shape[1], top * image.shape[0])
        share = 0.2
        above.add_patch(
            Rectangle(box, share * image.shape[1], share * image.shape[0], fill=False, color="#e69f00")
        )
        rows = slice(int(top * height), int((top + share) * height))
        columns = slice(int(left * width), int((left + share) * width))
        detail = picture[rows, columns]
        _show(below, detail, vmin=detail.min(), vmax=detail.max())
        below.set_title(f"detail of {detail.shape[1]} x {detail.shape[0]} pixels", fontsize="small")
    return figure


def detail_corner(example, share=0.2):
    """Returns (down, right) of a detail's upper left corner, as shares: in the middle of the largest lung."""
    if example.mask is None or not example.mask.any():
        return 0.4, 0.2
    right_lung = example.mask[:, : example.mask.shape[1] // 2]
    rows, columns = np.nonzero(right_lung if right_lung.any() else example.mask)
    centre = np.median(rows) / example.mask.shape[0], np.median(columns) / example.mask.shape[1]
    return tuple(float(min(max(place - share / 2, 0), 1 - share)) for place in centre)


def draw_figure_8(examples, network=None, seed=0):
    """Draws the features of two radiographs of different classes before and after the moment exchange."""
    first = examples[0]
    second = next((example for example in examples if example.label != first.label), None)
    if second is None:
        raise SemenetError(
            "Figure 8 shows images of two classes. Received: only images of "
            f"{first.label!r}. Pass another --manifest."
        )
    images = [resize(example.image, (MOEX_SIDE, MOEX_SIDE)) for example in (first, second)]
    features, exchanged = exchange(images, network, seed)
    # The channel that differs most over its positions shows most.
    channel = int(features[0].std(axis=(0, 1)).argmax())
    lines = [(first.label, images[0], features[0]), (second.label, images[1], features[1])]
    lines.append((None, None, exchanged[0]))
    figure = Figure(figsize=(10, 7.6), layout="constrained")
    grid = figure.subplots(3, 4)
    headings = ("image", f"channel {channel}", "mean over channels", "standard deviation over channels")
    for heading, axes in zip(headings, grid[0], strict=True):
        axes.annotate(heading, (0.5, 1.14), xycoords="axes fraction", ha="center", fontsize="medium")
    for (label, image, maps), line, name in zip(lines, grid, ("A", "B", "A with B's moments"), strict=True):
        if image is None:
            line[0].set_axis_off()
            line[0].text(0.5, 0.5, "MoEx:\nA's normalised features,\nB's moments", ha="center", va="center")
        else:
            _show(line[0], image)
            line[0].set_title(f"{name}: {label}", fontsize="small")
        for axes, shown in zip(line[1:], (maps[..., channel], maps.mean(-1), maps.std(-1)), strict=True):
            axes.imshow(shown, cmap="viridis")
            axes.set_title(name, fontsize="small")
            axes.set_axis_off()
    trained = "an untrained SEME-ResNet50" if network is None else str(network)
    figure.supxlabel(f"After the first convolution of {trained}", fontsize="x-small", color="0.4")
    return figure


def exchange(images, network=None, seed=0):
    """Computes the features that enter the moment exchange, and those that leave it.

    Args:
        images: two uint8 arrays `(MOEX_SIDE, MOEX_SIDE)`.
        network: run folder or .keras file; None for an untrained network.
        seed: seed of the untrained network's weights.

    Returns:
        (features, exchanged), float32 `(2, H, W, C)`; the first image has the second one's moments.

    Raises:
        SemenetError: the network has no moment exchange.
    """
    import keras

    import semenet
    from semenet.models import MomentExchange

    if network is None:
        keras.utils.set_random_seed(seed)
        model = semenet.build("seme_resnet50", input_shape=(MOEX_SIDE, MOEX_SIDE, 1))
    else:
        model = semenet.load_model(network)
    layer = next((layer for layer in model.layers if isinstance(layer, MomentExchange)), None)
    if layer is None:
        raise SemenetError(
            f"Figure 8 needs a network with MoEx. Received: {network}, which has none. Leave --network out "
            "for an untrained SEME-ResNet50."
        )
    _, height, width, channels = model.input_shape
    size = (height or MOEX_SIDE, width or MOEX_SIDE)
    batch = np.stack([resize(image, size) for image in images])[..., np.newaxis]
    features = keras.Model(model.inputs, layer.input)([np.repeat(batch, channels, axis=-1)], training=False)
    features = keras.ops.convert_to_numpy(keras.ops.cast(features, "float32"))
    exchanged = MomentExchange(p=1.0, dtype="float32")(features, training=True)
    return features, keras.ops.convert_to_numpy(exchanged)


def draw_figure_15b(examples):
    """Draws how four views of a radiograph are made, which are stacked into the training set."""
    example = next((example for example in examples[::-1] if example.mask is not None), None)
    if example is None:
        raise SemenetError(
            "Figure 15b needs a lung mask. Received: manifests without one. Add masks: semenet masks "
            "MANIFEST --lungs unet:lung --out with_masks.csv."
        )
    views = stacked_views(example)
    figure = Figure(figsize=(9.5, 7))
    places = {
        "original": (0.03, 0.62),
        "clahe": (0.03, 0.12),
        "mask": (0.36, 0.37),
        "masked": (0.69, 0.62),
        "masked_clahe": (0.69, 0.12),
    }
    titles = {"mask": "lung mask, in the paper by U-Net", "clahe": "clahe: CLAHE of the original"}
    axes = {}
    for name, place in places.items():
        axes[name] = figure.add_axes((*place, 0.22, 0.3))
        _show(axes[name], 255 * views[name] if name == "mask" else views[name])
        axes[name].set_title(titles.get(name, name), fontsize="medium")
    for start, end in (
        ("original", "clahe"),
        ("original", "mask"),
        ("original", "masked"),
        ("clahe", "masked_clahe"),
        ("mask", "masked"),
        ("mask", "masked_clahe"),
    ):
        figure.add_artist(_arrow(axes, places, start, end))
    note = "The training set is the union of the views original, clahe, masked and masked_clahe."
    figure.text(0.5, 0.03, note, ha="center", fontsize="small", color="0.3")
    return figure


def stacked_views(example):
    """Returns the views of an example, and its mask: uint8 `(VIEW_SIDE, VIEW_SIDE)` by name."""
    image = resize(example.image, (VIEW_SIDE, VIEW_SIDE))
    mask = resize_mask(example.mask, (VIEW_SIDE, VIEW_SIDE))
    enhanced = clahe(image)
    views = {"original": image, "clahe": enhanced, "mask": mask}
    return views | {"masked": image * mask, "masked_clahe": enhanced * mask}


def _arrow(axes, places, start, end):
    (x, y), (new_x, new_y) = places[start], places[end]
    if x == new_x:
        ends = ((0.5, -0.05), (0.5, 1.2))
    elif y == new_y:
        ends = ((1.02, 0.5), (-0.02, 0.5))
    else:
        ends = ((1.02, 0.4 if new_y < y else 0.6), (-0.02, 0.6 if new_y < y else 0.4))
    return ConnectionPatch(
        ends[0],
        ends[1],
        "axes fraction",
        "axes fraction",
        axesA=axes[start],
        axesB=axes[end],
        arrowstyle="-|>",
        mutation_scale=14,
        color="0.3",
    )


def _show(axes, picture, vmin=0, vmax=255, **options):
    axes.imshow(picture, cmap="gray", vmin=vmin, vmax=vmax, interpolation="nearest", **options)
    axes.set_axis_off()


DRAWN = {"2": draw_figure_2, "4": draw_figure_4, "15b": draw_figure_15b}


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
