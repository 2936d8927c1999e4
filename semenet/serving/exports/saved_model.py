"""Exports a trained network, or a cascade, as a SavedModel that takes the files' own bytes."""

import contextlib
import errno
import json
import os
import pathlib

import keras
import tensorflow as tf

from semenet.progress import step
from semenet.serving.exports.decoding_graph import ERROR_CODES, NO_ERROR, decode_batch
from semenet.serving.exports.servables import open_servable
from semenet.serving.exports.warm_up import FILE as WARM_UP
from semenet.serving.exports.warm_up import write_warm_up
from semenet.storage.atomic import check_new_folder, new_folder

DESCRIPTION = pathlib.Path("assets.extra") / "semenet.json"
ERROR = "error"


def export(path, out, progress=lambda step, done, total: None):
    """Writes a SavedModel whose graph decodes, resizes and scores: it needs neither Keras nor semenet.

    Signatures, all with N items as every input's and output's first axis:

    - `serving_default` takes `image_bytes`, string `(N,)`: whole PNG or JPEG files, of any and mixed sizes;
    - `explain` (not of a segmentation network) takes the same and adds heat maps;
    - `predict_pixels` takes `pixels`, uint8 `(N, height, width)` in [0, 255]: images that were decoded
      outside, such as DICOM.

    Outputs: `class_names`, string `(N, K)`; `probabilities`, float32 `(N, K)`, calibrated where the run is,
    or `(N, H, W, K)` of a segmentation network; `error_code`, int32 `(N,)`, 0 for none, see
    `semenet.serving.exports.decoding_graph.ERROR_CODES`: an item that cannot be decoded has
    probabilities of 0 and
    leaves the others as they are; of a classifier `predicted`, string `(N,)`, "error" for such an item; and
    in `explain` `heat_map`, float32 `(N, h, w)` in [0, 1], for the class predicted. A cascade has
    besides `stage1_probabilities`, `stage2_probabilities`, `reason` (which stage decided, or abstained, when
    `predicted` is "abstain", or why it is "rejected"), `input_flags` (all that the input gate found, see
    `semenet.inference.input_gate`), `lung_flags` (why the lungs found cannot be lungs, "" if they can),
    and in
    `explain` `stage1_heat_map`, `stage2_heat_map`, and `lung_mask_bytes`, 8-bit PNG files.

    The image is prepared to the bit as in training and evaluation. `assets.extra/semenet.json` describes the
    networks, with their temperatures, and the operating points and the confidence to answer from as
    `semenet.evaluation.measure.calibration.calibrate` found them (null where it did not).

    Args:
        path: run folder, `.keras` file, `ENTRY:NAME` of published weights, or a cascade's folder.
        out: folder to write: new or empty.
        progress: function of a step's name, the number done and of all.

    Returns:
        `pathlib.Path` of the SavedModel.

    Raises:
        OutputError: if `out` holds something, or cannot be written.
        WeightsError: if the run cannot be loaded.
        CascadeError: if the cascade is not whole.
        RunFolderError: if its calibration is broken, or of another network than the one there now.
        ValueError: if the network is fed lungs alone, which a SavedModel of its own cannot find.
    """
    out = check_new_folder(out)
    with step(progress, "loading"):
        servable = open_servable(path)
    # Written beside its place and moved, so that nobody serves half a model.
    with new_folder(out) as folder, _full_disk_as_os_error():
        archive = keras.export.ExportArchive()
        for model in servable.models:
            archive.track(model)
        signatures = _signatures(servable)
        for done, (name, function) in enumerate(signatures.items()):
            progress("tracing signatures", done, len(signatures))
            archive.add_endpoint(name, function)
        progress("tracing signatures", len(signatures), len(signatures))
        with step(progress, "writing"):
            archive.write_out(folder, verbose=False)
        description = folder / DESCRIPTION
        description.parent.mkdir()
        told = servable.describe() | {"error_codes": {str(code): text for code, text in ERROR_CODES.items()}}
        description.write_text(json.dumps(told, indent=2) + "\n")
        write_warm_up(description.with_name(WARM_UP), signatures)
    return out


@contextlib.contextmanager
def _full_disk_as_os_error():
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _signatures(servable):
    """dict of each signature's name to its function."""
    of_bytes = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    of_pixels = [tf.TensorSpec([None, None, None], tf.uint8, name="pixels")]
    compute = servable.compute(explain=False)

    @tf.function(input_signature=of_bytes)
    def serve(image_bytes):
        code, images = decode_batch(image_bytes, servable.prepare, servable.specs)
        return _answer(servable, code, compute(*images))

    @tf.function(input_signature=of_pixels)
    def predict_pixels(pixels):
        prepared = tf.map_fn(
            servable.prepare, pixels[..., tf.newaxis], fn_output_signature=tuple(servable.specs)
        )
        code = tf.fill(tf.shape(pixels)[:1], NO_ERROR)
        return _answer(servable, code, compute(*prepared))

    signatures = {"serving_default": serve, "predict_pixels": predict_pixels}
    if servable.explains:
        compute_maps = servable.compute(explain=True)

        @tf.function(input_signature=of_bytes)
        def explain(image_bytes):
            code, images = decode_batch(image_bytes, servable.prepare, servable.specs)
            return _answer(servable, code, compute_maps(*images))

        signatures["explain"] = explain
    return signatures


def _answer(servable, code, outputs):
    """The outputs of a signature: what the networks gave, and nothing of it for an item with an error."""
    fine = code == NO_ERROR
    answered = {}
    for name, values in outputs.items():
        empty = tf.constant(ERROR if name in ("predicted", "reason") else "")
        empty = empty if values.dtype == tf.string else tf.zeros((), values.dtype)
        shape = tf.concat([tf.shape(fine), tf.ones(tf.rank(values) - 1, tf.int32)], axis=0)
        answered[name] = tf.where(tf.reshape(fine, shape), values, empty)
    class_names = tf.repeat(tf.constant([servable.class_names]), tf.size(code), axis=0)
    return answered | {"class_names": class_names, "error_code": code}
