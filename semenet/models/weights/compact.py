"""Writes a network's weights small: kernels in half precision, in files that are no larger than asked."""

import pathlib

import h5py
import numpy as np

from semenet.errors import SemenetError

WEIGHTS = "model.weights.json"
_GIBIBYTE = 2**30


def halve_kernels(model):
    """Rounds a network's kernels to what float16 holds; biases and batch statistics stay as they are.

    Batch statistics are no weights to round: a variance may be larger than float16 reaches.

    Args:
        model: `keras.Model` in float32 variables; changed in place.

    Raises:
        ValueError: a kernel holds values that float16 cannot.
    """
    for layer in model.layers:
        halved = []
        for weight, values in zip(layer.weights, layer.get_weights(), strict=True):
            if _is_kernel(values):
                with np.errstate(over="ignore"):
                    values = values.astype("float16").astype("float32")
                if not np.isfinite(values).all():
                    raise SemenetError(
                        "A kernel in half precision has values below 65,504. "
                        f"Received: {weight.path} of `{model.name}`. Publish it in float32."
                    )
            halved.append(values)
        layer.set_weights(halved)


def write_compact(model, folder, mebibytes=16):
    """Writes `model.weights.json` and the `.weights.h5` files it names, kernels stored in float16.

    Keras reads them back as float32: `model.load_weights(folder / "model.weights.json")`.

    Args:
        model: `keras.Model` whose kernels `halve_kernels` has rounded, so that nothing is lost here.
        folder: pathlib.Path, which exists.
        mebibytes: size, of the files written, at which the next one is begun.

    Returns:
        list of pathlib.Path of all files written, the `.weights.json` first.

    Raises:
        ValueError: a kernel is not what float16 holds.
    """
    listing = pathlib.Path(folder) / WEIGHTS
    # Keras counts the float32 values, twice what is kept of them.
    model.save_weights(listing, max_shard_size=2 * mebibytes * 2**20 / _GIBIBYTE)
    shards = sorted(listing.parent.glob(f"{listing.name.removesuffix('.weights.json')}_*.weights.h5"))
    for shard in shards:
        whole = shard.with_suffix(".whole")
        shard.rename(whole)
        with h5py.File(whole) as source, _new_file(shard) as target:
            source.visititems(lambda name, item, target=target: _copy(name, item, target))
            target.attrs.update(source.attrs)
        whole.unlink()
    return [listing, *shards]


def _is_kernel(values):
    return values.ndim > 1


def _new_file(path):
    """A new HDF5 file in the latest layout, half the size of the usual one for many small arrays.

    Without the times of its making: equal weights give equal bytes.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    creation = _timeless(h5py.h5p.FILE_CREATE)
    return h5py.File(h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access))


def _timeless(kind):
    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _copy(name, item, target):
    if isinstance(item, h5py.Group):
        copied = h5py.Group(h5py.h5g.create(target.id, name.encode(), gcpl=_timeless(h5py.h5p.GROUP_CREATE)))
    else:
        values = item[()]
        kept = values.astype("float16") if _is_kernel(values) else values
        if not np.array_equal(kept, values):
            raise SemenetError(
                f"Kernels are written as float16 holds them. Received: {name}, with others. "
                "Round them first, by halve_kernels."
            )
        copied = target.create_dataset(name, data=kept)
    copied.attrs.update(item.attrs)
