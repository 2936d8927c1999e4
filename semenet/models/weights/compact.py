"""Writes the weights of a network compactly: kernels in half precision, in files of a limited size."""

from pathlib import Path

import h5py
import keras
import numpy as np

from semenet.errors import SemenetError

WEIGHTS = "model.weights.json"
_GIBIBYTE = 2**30


def halve_kernels(model: keras.Model) -> None:
    """Rounds the kernels of a network to float16; biases and batch statistics are not changed.

    Batch statistics are not rounded, because a variance may exceed the range of float16.

    Args:
        model: `keras.Model` with float32 variables; changed in place.

    Raises:
        SemenetError: a kernel holds values outside the range of float16.
    """
    for layer in model.layers:
        halved = []
        for weight, values in zip(layer.weights, layer.get_weights(), strict=True):
            if _is_kernel(values):
                with np.errstate(over="ignore"):
                    values = values.astype("float16").astype("float32")
                if not np.isfinite(values).all():
                    raise SemenetError(
                        "The values of a kernel in half precision must be below 65,504. "
                        f"Received: {weight.path} of `{model.name}`. Publish it in float32."
                    )
            halved.append(values)
        layer.set_weights(halved)


def write_compact(model: keras.Model, folder: Path | str, mebibytes: float = 16) -> list[Path]:
    """Writes `model.weights.json` and the `.weights.h5` files it lists, with kernels stored in float16.

    Keras reads them back as float32: `model.load_weights(folder / "model.weights.json")`.

    Args:
        model: `keras.Model` whose kernels `halve_kernels` has rounded, so that float16 stores them exactly.
        folder: an existing folder.
        mebibytes: size of a file in MiB at which the next file is started.

    Returns:
        list of Path of all files written, the `.weights.json` first.

    Raises:
        SemenetError: a kernel holds values that float16 does not store exactly.
    """
    listing = Path(folder) / WEIGHTS
    # Keras counts float32 values, twice the size of those written here.
    model.save_weights(listing, max_shard_size=2 * mebibytes * 2**20 / _GIBIBYTE)
    shards = sorted(listing.parent.glob(f"{listing.name.removesuffix('.weights.json')}_*.weights.h5"))
    for shard in shards:
        original = shard.with_suffix(".original")
        shard.rename(original)
        with h5py.File(original) as source, _new_file(shard) as target:
            source.visititems(lambda name, item, target=target: _copy(name, item, target))
            target.attrs.update(source.attrs)
        original.unlink()
    return [listing, *shards]


def _is_kernel(values: np.ndarray) -> bool:
    return values.ndim > 1


def _new_file(path: Path) -> h5py.File:
    """Creates an HDF5 file in the latest layout, which halves the size for many small arrays.

    The file holds no times of creation, so that equal weights give equal bytes.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    creation = _without_times(h5py.h5p.FILE_CREATE)
    return h5py.File(h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access))


def _without_times(kind: h5py.h5p.PropClassID) -> h5py.h5p.PropCreateID:
    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _copy(name: str, item: h5py.Group | h5py.Dataset, target: h5py.File) -> None:
    if isinstance(item, h5py.Group):
        copied = h5py.Group(
            h5py.h5g.create(target.id, name.encode(), gcpl=_without_times(h5py.h5p.GROUP_CREATE))
        )
    else:
        values = item[()]
        kept = values.astype("float16") if _is_kernel(values) else values
        if not np.array_equal(kept, values):
            raise SemenetError(
                "Kernels are written in float16, which must store their values exactly. "
                f"Received: {name} with other values. Round the kernels first with halve_kernels."
            )
        copied = target.create_dataset(name, data=kept)
    copied.attrs.update(item.attrs)
