"""Grad-CAM: which parts of a radiograph spoke for a class."""

import concurrent.futures

import cv2
import keras
import matplotlib
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet.data.files import output_folder, unique_stems, write_bytes
from semenet.data.image_files import list_images
from semenet.data.images import read_image
from semenet.data.pipeline import prepare
from semenet.errors import SemenetError
from semenet.training.progress import track

# Perceptually even, and its steps stay apart in print and for colour-blind readers.
COLOUR_MAP = "inferno"


def grad_cam(model, images, class_index=None, layer="features"):
    """Heat maps of a batch of images; `grad_cam_function` serves many batches with one tracing.

    Args:
        model: a classifier with a dense layer `head`.
        images: `(N, H, W, C)`, values in [0, 255], as the model takes them.
        class_index: the class to explain: an int, or one for each image `(N,)`; None for the class
            predicted.
        layer: name of the layer whose feature map is weighted.

    Returns:
        float32 array `(N, h, w)` in [0, 1], the feature map's size. See `grad_cam_function`.

    Raises:
        ValueError: as `grad_cam_function`, and for images or classes that do not fit the model.
    """
    heat, _ = grad_cam_function(model, layer)(images, class_index)
    return heat


def grad_cam_function(model, layer="features"):
    """Prepares Grad-CAM of a model: traced once, for batches of any size.

    A map is the feature map's channels, added up with the mean gradient of the class's score (before
    softmax or sigmoid) as their weights, less what speaks against the class (ReLU), divided by its
    highest value. A map without positive value is 0 throughout. Maps of different images thus do not
    compare in strength. For a head of global average pooling it is, up to that scale, the class
    activation map.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        layer: name of the layer whose feature map is weighted.

    Returns:
        A function of `images` and `class_index=None` (see `grad_cam`) that returns the maps, float32
        array `(N, h, w)` in [0, 1], and the model's outputs, float32 array `(N, K)`.

    Raises:
        ValueError: if the model has no dense `head`, or no such layer with a feature map on the
            way to it, or Keras runs on another backend.

    Reference:
        Selvaraju et al., "Grad-CAM", https://arxiv.org/abs/1610.02391, section 3.
    """
    if keras.backend.backend() != "tensorflow":
        raise SemenetError(
            "Grad-CAM takes its gradients from TensorFlow. "
            f"Received: Keras on the {keras.backend.backend()} backend. Set KERAS_BACKEND=tensorflow; "
            "models trained on other backends load there."
        )
    head = _dense_head(model)
    taps = keras.Model(model.inputs[0], [_feature_map(model, layer).output, head.input])
    inputs = model.inputs[0]
    classes = head.kernel.shape[-1]

    @tf.function(input_signature=[tf.TensorSpec(inputs.shape, tf.float32), tf.TensorSpec((None,), tf.int32)])
    def explain(images, class_index):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Within a graph only what lies between score and feature map is differentiated.
            tape.watch(images)
            features, vector = taps(images, training=False)
            logits = tf.matmul(tf.cast(vector, tf.float32), tf.convert_to_tensor(head.kernel))
            if head.use_bias:
                logits += tf.convert_to_tensor(head.bias)
            chosen = tf.where(class_index < 0, tf.argmax(logits, axis=1, output_type=tf.int32), class_index)
            score = tf.reduce_sum(logits * tf.one_hot(chosen, classes))
            # The gradient of a mean over positions is small: in float16 it would vanish.
            score *= tf.cast(tf.reduce_prod(tf.shape(features)[1:3]), tf.float32)
        gradient = tape.gradient(score, features)
        if gradient is None:
            raise SemenetError(
                "The layer to explain must lie between the model's input and `head`. "
                f"Received: {layer!r}, on which `head` does not depend. Use 'features'."
            )
        weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(tf.cast(features, tf.float32) * weights, axis=-1))
        highest = tf.reduce_max(heat, axis=(1, 2), keepdims=True)
        return tf.math.divide_no_nan(heat, highest), head.activation(logits)

    def run(images, class_index=None):
        images = np.asarray(images)
        index = _class_indices(class_index, len(images), classes)
        heat, outputs = (value.numpy() for value in explain(tf.cast(images, tf.float32), index))
        if not np.isfinite(heat).all() or not np.isfinite(outputs).all():
            raise SemenetError(
                f"A network's features and outputs must be finite. Received: `{model.name}`, which gives "
                "NaN or infinity for these images. Its training diverged: lower the learning rate."
            )
        return heat, outputs

    return run


def overlay(image, heat, alpha=0.6):
    """Lays a heat map over a radiograph; where the map is 0 the radiograph shows unchanged.

    Args:
        image: uint8 `(H, W)`.
        heat: `(h, w)` in [0, 1], stretched bilinearly to the image's size.
        alpha: float in [0, 1], the opacity of the colour where the map is 1; elsewhere in proportion.

    Returns:
        uint8 RGB `(H, W, 3)`, in the colours of matplotlib's `COLOUR_MAP`.
    """
    heat = stretch(heat, image.shape)
    colours = matplotlib.colormaps[COLOUR_MAP](heat)[..., :3] * 255
    opacity = alpha * heat[..., None]
    return np.rint(image[..., None] * (1 - opacity) + colours * opacity).astype(np.uint8)


def stretch(heat, shape):
    """Stretches a heat map `(h, w)` bilinearly to `(H, W)`, the way images are stretched to the network."""
    height, width = shape
    return cv2.resize(np.asarray(heat, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def write_explanations(run, files, out, batch_size=16):
    """Explains the predictions for image files: a heat map and an overlay for each.

    Writes `<stem>_heatmap.png` (8-bit grey, 255 for 1), `<stem>_overlay.png` (RGB), both in the image's
    own size, and `explanations.csv` with the columns file, predicted, probability, heatmap and overlay
    (the latter two relative to `out`). Images of one stem get numbers: `<stem>_2_heatmap.png`.

    Args:
        run: a trained classifier, a `semenet.training.run.Run`.
        files: paths of images, or of folders that hold some.
        out: the folder to write to; made if absent.
        batch_size: int, images explained at a time.

    Returns:
        pathlib.Path of `explanations.csv`.

    Raises:
        ImageError: a file is absent or cannot be decoded, or a folder holds no image.
        ValueError: the run is of a segmentation network.
    """
    if run.segments:
        raise SemenetError(
            "Grad-CAM explains a classifier. "
            f"Received: {run.path}, a segmentation network, whose output is a map already. "
            "Use `semenet evaluate` to see its masks."
        )
    files = list_images(files)
    out = output_folder(out)
    explain = grad_cam_function(run.model)
    named = list(zip(files, unique_stems(files), strict=True))
    batches = (named[start : start + batch_size] for start in range(0, len(named), batch_size))

    def load(file):
        image = read_image(file)
        return image, prepare(image, run.input_size, run.channels, run.inference_clahe)

    def write(name, image, heat, output):
        file, stem = name
        heat_name, overlay_name = f"{stem}_heatmap.png", f"{stem}_overlay.png"
        grey = np.rint(stretch(heat, image.shape) * 255).astype(np.uint8)
        write_bytes(out / heat_name, encode(grey))
        write_bytes(out / overlay_name, encode(overlay(image, heat)))
        winner = int(output.argmax())
        return str(file), run.class_names[winner], float(output[winner]), heat_name, overlay_name

    rows = []
    # Decoding and encoding run outside Python's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for batch in track(batches, len(named), "Explaining"):
            images, inputs = zip(*pool.map(load, [file for file, _ in batch]), strict=True)
            heat, outputs = explain(np.stack(inputs))
            rows += pool.map(write, batch, images, heat, outputs)
    table = pd.DataFrame(rows, columns=["file", "predicted", "probability", "heatmap", "overlay"])
    path = out / "explanations.csv"
    write_bytes(path, table.to_csv(index=False).encode())
    return path


def encode(image, suffix=".png"):
    """Encodes a uint8 image, grey `(H, W)` or RGB `(H, W, 3)`, as the bytes of a PNG or JPEG file."""
    options = []
    if suffix == ".jpg":
        # Thin coloured lines need the colours at full resolution.
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(suffix, image if image.ndim == 2 else image[..., ::-1], options)
    return encoded.tobytes()


def _dense_head(model):
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    if not isinstance(head, keras.layers.Dense):
        found = "none of that name" if head is None else type(head).__name__
        raise SemenetError(
            "Grad-CAM explains a classifier whose last layer is dense and named `head`. "
            f"Received: `{model.name}` with {found}. Use a classifier that semenet.build made."
        )
    return head


def _feature_map(model, name):
    named = {layer.name: layer for layer in model.layers}
    maps = [key for key, layer in named.items() if len(getattr(layer.output, "shape", ())) == 4]
    if name not in maps:
        raise SemenetError(
            "Grad-CAM weights the feature map (N, H, W, C) of a layer. "
            f"Received: {name!r} for `{model.name}`. Layers with one: {', '.join(maps)}."
        )
    return named[name]


def _class_indices(class_index, count, classes):
    if class_index is None:
        return np.full(count, -1, np.int32)
    index = np.asarray(class_index)
    if (
        index.dtype.kind not in "iu"
        or index.shape not in ((), (count,))
        or np.any((index < 0) | (index >= classes))
    ):
        raise SemenetError(
            f"`class_index` must be an integer in [0, {classes}), or one for each of the {count} images. "
            f"Received: {class_index!r}. Leave it out for the class predicted."
        )
    return np.broadcast_to(index, count).astype(np.int32)
