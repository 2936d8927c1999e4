"""Exports a trained network or a cascade as a SavedModel that takes the bytes of image files."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.types.experimental import ConcreteFunction, GenericFunction

from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.progress import step
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.saved_cascade import is_cascade
from semenet.serving.exports.decoding_graph import ERROR_CODES, NO_ERROR, decode_batch
from semenet.serving.exports.lung_servable import LungServable
from semenet.serving.exports.report_description import REPORT, Servable, report_description
from semenet.serving.exports.servables import CascadeServable, NetworkServable
from semenet.serving.exports.warm_up import FILE as WARM_UP
from semenet.serving.exports.warm_up import write_warm_up
from semenet.storage.atomic import check_new_folder, new_folder
from semenet.training.run_folder.run import Run

DESCRIPTION = pathlib.Path("assets.extra") / "semenet.json"
ERROR = "error"


def export(
    path: pathlib.Path | str,
    out: pathlib.Path | str,
    progress: Callable[[str, int, int | None], None] = lambda step, done, total: None,
    lungs: pathlib.Path | str | None = None,
    maps: MapChoice = DEFAULT_MAPS,
) -> pathlib.Path:
    """Writes a SavedModel whose graph decodes, resizes and classifies: it needs neither Keras nor semenet.

    Signatures, whose inputs and outputs all have N items as first axis:

    - `serving_default` takes `image_bytes`, string `(N,)`: complete PNG or JPEG files of any sizes;
    - `explain` (not of a segmentation network) takes the same and adds heat maps;
    - `embed` (only of a single classifier) takes the same and returns `embedding`, float32 `(N, F)`, see
      `semenet.embed`, instead of probabilities;
    - `predict_pixels` takes `pixels`, uint8 `(N, height, width)` in [0, 255]: images decoded elsewhere, such
      as DICOM.

    Outputs:

    - `class_names`, string `(N, K)`;
    - `probabilities`, float32 `(N, K)`, calibrated if the run is, or `(N, H, W, K)` of a segmentation
      network;
    - `error_code`, int32 `(N,)`, 0 for none, see `semenet.serving.exports.decoding_graph.ERROR_CODES`: an
      item that cannot be decoded has probabilities of 0 and does not affect the others;
    - of a classifier, `predicted`, string `(N,)`, "error" for an item that cannot be decoded; of a network
      with sigmoid outputs, the findings that reach their thresholds, joined by `|`, or "no finding";
    - of `explain`, `heat_map`, float32 `(N, h, w)` in [0, 1], for the most probable class;
    - of a network exported with `lungs`, `lung_mask_bytes` in `explain`, 8-bit PNG files; if it has a lung
      view, also `lung_flags` (why the lung mask is implausible, "" if it is plausible) and, in `explain`,
      `box`, int32 `(N, 4)`, the part of the image that the heat map covers: top, left, bottom and right;
    - of a cascade, `stage1_probabilities`, `stage2_probabilities`, `reason` (the stage that decided, or that
      abstained if `predicted` is "abstain", or why the item is "rejected"), `input_flags` (all findings of
      the input gate, see `semenet.inference.input_gate`), `lung_flags` (why the lung mask is implausible, ""
      if it is plausible); in `explain` also `stage1_heat_map`, `stage2_heat_map`, `lung_mask_bytes`,
      8-bit PNG files, `stage1_input_bytes`, `stage2_input_bytes`, PNG files of the images as the stages
      received them, and, of stages with a lung view, `stage1_box`, `stage2_box`; of a network exported with
      `lungs`, `input_bytes`.

    The image is prepared bit for bit as in training and evaluation. `assets.extra/semenet.json` describes the
    networks with their temperatures, the method and the layer of their heat maps, and the operating points
    and the confidence threshold of `semenet.evaluation.measure.calibration.calibrate` (null without
    calibration).
    `assets.extra/tf_serving_warmup_requests` holds a warm-up request for every signature.

    Args:
        path: run folder, `.keras` file, `ENTRY:NAME` of published weights, or a cascade's folder.
        out: new or empty folder.
        progress: called with a step's name, the number done and the total.
        lungs: for a network that needs the lungs: the segmentation network that finds them, which the
            SavedModel then includes; given like `path`.
        maps: the method and the layer of the heat maps, in both stages of a cascade. Methods with a gradient
            compute it in the exported graph.

    Returns:
        The SavedModel's folder.

    Raises:
        OutputError: `out` is not empty, or cannot be written.
        WeightsError: the run cannot be loaded.
        CascadeError: the cascade is incomplete.
        RunFolderError: its calibration is broken, or belongs to another network.
        SemenetError: `lungs` is missing although the network needs it, is not needed, or does not segment.

    Example:
        >>> import json
        >>> from semenet.serving import export
        >>> folder = export("run", "saved")
        >>> json.loads((folder / "assets.extra" / "semenet.json").read_text())["class_names"]
        ['normal', 'bacteria', 'virus']
    """
    out = check_new_folder(out)
    with step(progress, "loading"):
        servable = _open_servable(path, lungs, maps)
    # Written elsewhere and moved, so that no server loads an incomplete model.
    with new_folder(out) as folder, _full_disk_as_os_error():
        functions = _signatures(servable)
        signatures = {}
        for done, (name, function) in enumerate(functions.items()):
            progress("tracing signatures", done, len(functions))
            signatures[name] = function.get_concrete_function()
        progress("tracing signatures", len(functions), len(functions))
        with step(progress, "writing"):
            _write(signatures, folder)
        description_file = folder / DESCRIPTION
        description_file.parent.mkdir()
        description = servable.describe() | {
            "error_codes": {str(code): text for code, text in ERROR_CODES.items()},
            REPORT: report_description(servable, path).to_json(),
        }
        description_file.write_text(json.dumps(description, indent=2) + "\n")
        write_warm_up(description_file.with_name(WARM_UP), signatures)
    return out


def _open_servable(path: pathlib.Path | str, lungs: pathlib.Path | str | None, maps: MapChoice) -> Servable:
    if is_cascade(path):
        needs_lungs, what = False, "a cascade, which has its own segmentation network"
    else:
        run = Run.open(path)
        needs_lungs, what = run.needs_lungs, "a network that takes whole images"
    if lungs is not None and not needs_lungs:
        raise SemenetError(
            "A segmentation network is exported with a network that needs the lungs. "
            f"Received: --lungs {lungs} with {path}, {what}. Leave --lungs out."
        )
    if is_cascade(path):
        return CascadeServable(Cascade.open(path), maps)
    return NetworkServable(run, maps) if lungs is None else LungServable(run, Run.open(lungs), maps)


@contextlib.contextmanager
def _full_disk_as_os_error() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _write(signatures: dict[str, ConcreteFunction], folder: pathlib.Path) -> None:
    """Writes traced functions and their variables.

    Keras' `ExportArchive` and a module that holds the `tf.function` of a signature would trace it once more:
    saving has a context of its own, for which TensorFlow finds no earlier trace.
    """
    module = tf.Module()
    used = (variable for function in signatures.values() for variable in function.variables)
    module.used = list({id(variable): variable for variable in used}.values())
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _signatures(servable: Servable) -> dict[str, GenericFunction]:
    """Returns the function of each signature by its name.

    No Python statement depends on a tensor's value, and AutoGraph would rewrite all of their source.
    """
    bytes_spec = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    pixels_spec = [tf.TensorSpec([None, None, None], tf.uint8, name="pixels")]
    # Two signatures share this one, so that the networks are traced once for both.
    compute = tf.function(servable.compute(explain=False), autograph=False)

    @tf.function(input_signature=bytes_spec, autograph=False)
    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        code, images = decode_batch(image_bytes, servable.prepare, servable.specs)
        return _answer(servable, code, compute(*images))

    @tf.function(input_signature=pixels_spec, autograph=False)
    def predict_pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        prepared = tf.map_fn(
            servable.prepare, pixels[..., tf.newaxis], fn_output_signature=tuple(servable.specs)
        )
        code = tf.fill(tf.shape(pixels)[:1], NO_ERROR)
        return _answer(servable, code, compute(*prepared))

    signatures = {"serving_default": serve, "predict_pixels": predict_pixels}
    if servable.explains:
        compute_maps = servable.compute(explain=True)

        @tf.function(input_signature=bytes_spec, autograph=False)
        def explain(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            code, images = decode_batch(image_bytes, servable.prepare, servable.specs)
            return _answer(servable, code, compute_maps(*images))

        signatures["explain"] = explain
    if servable.embeds:
        compute_embedding = servable.compute_embedding()

        @tf.function(input_signature=bytes_spec, autograph=False)
        def embed(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            code, images = decode_batch(image_bytes, servable.prepare, servable.specs)
            return _answer(servable, code, compute_embedding(*images))

        signatures["embed"] = embed
    return signatures


def _answer(servable: Servable, code: tf.Tensor, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a signature's outputs: those of the networks, emptied for items with an error."""
    is_valid = code == NO_ERROR
    answer = {}
    for name, values in outputs.items():
        empty = tf.constant(ERROR if name in ("predicted", "reason") else "")
        empty = empty if values.dtype == tf.string else tf.zeros((), values.dtype)
        shape = tf.concat([tf.shape(is_valid), tf.ones(tf.rank(values) - 1, tf.int32)], axis=0)
        answer[name] = tf.where(tf.reshape(is_valid, shape), values, empty)
    class_names = tf.repeat(tf.constant([servable.class_names]), tf.size(code), axis=0)
    return answer | {"class_names": class_names, "error_code": code}
