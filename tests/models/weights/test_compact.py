import time

import h5py
import numpy as np
import pytest

import semenet
from semenet.models.weights.compact import halve_kernels, write_compact

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}


def test_only_kernels_are_rounded():
    model = semenet.build("resnet50_gap", **SMALL)
    normalisation = model.get_layer("conv1_bn")
    # Outside the range of float16, like variances in the first epochs of a training.
    gamma, beta, mean, variance = normalisation.get_weights()
    normalisation.set_weights([gamma + 1e-7, beta, mean, variance + 1e6])
    before = {weight.path: weight.numpy() for weight in model.weights}
    halve_kernels(model)
    for weight in model.weights:
        values = weight.numpy()
        if values.ndim > 1:
            np.testing.assert_array_equal(values, before[weight.path].astype("float16").astype("float32"))
            assert (values != before[weight.path]).any()
        else:
            np.testing.assert_array_equal(values, before[weight.path])


def test_a_kernel_outside_the_range_of_float16_raises():
    model = semenet.build("vgg19_gap", **SMALL)
    head = model.get_layer("head")
    head.set_weights([head.get_weights()[0] + 1e5, head.get_weights()[1]])
    with pytest.raises(ValueError, match="below 65,504.*head/kernel"):
        halve_kernels(model)


def test_files_are_small_and_read_back_unchanged(tmp_path):
    model = semenet.build("seme_densenet169", **SMALL)
    model.save_weights(tmp_path / "whole.weights.h5")
    with pytest.raises(ValueError, match="Kernels are written in float16"):
        write_compact(model, tmp_path)
    halve_kernels(model)
    written = write_compact(model, tmp_path)
    assert [path.name for path in written] == ["model.weights.json", "model_00000.weights.h5"]
    assert written[1].stat().st_size < 0.6 * (tmp_path / "whole.weights.h5").stat().st_size
    with h5py.File(written[1]) as file:
        kinds = []
        file.visititems(
            lambda name, item: kinds.append((item.ndim > 1, item.dtype)) if hasattr(item, "dtype") else None
        )
    assert {str(dtype) for is_kernel, dtype in kinds if is_kernel} == {"float16"}
    assert all(dtype != np.float16 for is_kernel, dtype in kinds if not is_kernel)
    # Equal weights give equal files at any time.
    before = written[1].read_bytes()
    time.sleep(1.1)
    assert write_compact(model, tmp_path)[1].read_bytes() == before
    copy = semenet.build("seme_densenet169", **SMALL)
    copy.load_weights(written[0])
    for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
