"""Exports a trained network as a SavedModel that takes the files' own bytes."""

import json
import os
import pathlib
import shutil
import tempfile

import keras
import tensorflow as tf

from semenet.data.files import output_folder
from semenet.data.graph_images import decode_image
from semenet.data.transforms import clahe_graph, resize
from semenet.errors import SemenetError
from semenet.evaluation.scoring import temper_graph
from semenet.training.run import Run


class ExportError(SemenetError):
    """An export cannot be written where it was asked for."""


def export(run_path, out):
    """Writes a SavedModel whose graph decodes, resizes and scores: it needs neither Keras nor semenet.

    The signature `serving_default` takes `image_bytes`, string `(N,)`: whole PNG or JPEG files, of any and
    mixed sizes. It gives `class_names`, string `(N, K)`, and `probabilities`, float32 `(N, K)`, or
    `(N, H, W, K)` of a segmentation network. The image is prepared to the bit as in training and
    evaluation, and the probabilities are calibrated where the run is. `assets.extra/semenet.json` describes
    the network, with its temperature, and the operating points and the confidence to answer from as
    `semenet.evaluation.calibrate.calibrate` found them (null where it did not).

    Args:
        run_path: run folder or `.keras` file.
        out: folder to write: new or empty.

    Returns:
        `pathlib.Path` of the SavedModel.

    Raises:
        ExportError: if `out` holds something.
        WeightsError: if the run cannot be loaded.
        RunFolderError: if its calibration is broken, or of another network than the one there now.
        ValueError: if the network is fed lungs alone, which a SavedModel of its own cannot find.
    """
    out = pathlib.Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(
            f"An export needs a new or an empty folder. Received: {out}, which holds something. Give another."
        )
    output_folder(out.parent)
    run = Run.open(run_path)
    if run.lungs_alone:
        raise SemenetError(
            "A SavedModel takes whole images, and one of a classifier alone cannot find lungs in them. "
            f"Received: {run.path}, a network that is fed lungs alone. Use `semenet predict --lungs` with a "
            "U-Net's run."
        )
    # Written beside its place and moved, so that nobody serves half a model.
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        archive = keras.export.ExportArchive()
        archive.track(run.model)
        archive.add_endpoint("serving_default", _serving_function(run))
        archive.write_out(temporary / "model", verbose=False)
        extra = temporary / "model" / "assets.extra"
        extra.mkdir()
        (extra / "semenet.json").write_text(json.dumps(_description(run), indent=2) + "\n")
        if out.exists():
            out.rmdir()
        os.replace(temporary / "model", out)
    finally:
        shutil.rmtree(temporary)
    return out


def _serving_function(run):
    height, width = run.input_size
    class_names = tf.constant([run.class_names])
    temperature, activation = run.temperature, run.activation

    def prepare(contents):
        image = resize(decode_image(contents), (height, width))
        if run.inference_clahe:
            image = clahe_graph(image)
        return tf.ensure_shape(tf.repeat(image, run.channels, axis=-1), (height, width, run.channels))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(image_bytes):
        images = tf.map_fn(
            prepare,
            image_bytes,
            fn_output_signature=tf.TensorSpec((height, width, run.channels), tf.uint8),
        )
        probabilities = run.model(tf.cast(images, tf.float32), training=False)
        return {
            "probabilities": temper_graph(probabilities, temperature, activation),
            "class_names": tf.repeat(class_names, tf.size(image_bytes), axis=0),
        }

    return serve


def _description(run):
    calibration = run.calibration or {}
    return {
        "network": run.model.name,
        "class_names": run.class_names,
        "input_size": run.input_size,
        "channels": run.channels,
        "inference_clahe": run.inference_clahe,
        "manifest_sha256": run.record.get("manifest_sha256"),
        "temperature": run.temperature,
        "operating_points": calibration.get("operating_points"),
        "abstain": calibration.get("abstain"),
        "use": "Research use only. Not a medical device.",
    }
