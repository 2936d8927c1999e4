"""Decodes and prepares batches of image files in a TensorFlow graph. A bad file leaves the others intact."""

from collections.abc import Callable

import tensorflow as tf

from semenet.data.images.in_graph import decode_image

# Values of the output `error_code`.
NO_ERROR, UNDECODABLE = 0, 1
# The machine that will run the graph is unknown: enough for the processors of most servers.
_PARALLEL_CALLS = 16
ERROR_CODES = {NO_ERROR: "none", UNDECODABLE: "not a PNG or JPEG radiograph that can be decoded"}


def decode_batch(
    image_bytes: tf.Tensor,
    prepare: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]],
    specs: list[tf.TensorSpec],
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Decodes and prepares a batch of images of any sizes and formats, several in parallel.

    Args:
        image_bytes: string tensor `(N,)`, whole PNG or JPEG files.
        prepare: graph function from uint8 `(height, width, 1)` and the file's bytes to a tuple of tensors.
        specs: types and shapes of the tensors of one item.

    Returns:
        int32 `(N,)`, keys of `ERROR_CODES`, and a list of tensors `(N, ...)`, 0 for an item with an error.
    """
    count = tf.size(image_bytes)

    @tf.autograph.experimental.do_not_convert
    def load(number: tf.Tensor, contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # The numbers of the loaded items show which items failed.
        image = decode_image(contents)
        # Nothing else may decode the file before it is checked.
        with tf.control_dependencies([image]):
            return number, *prepare(image, tf.identity(contents))

    numbered = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    loaded = numbered.map(load, num_parallel_calls=_PARALLEL_CALLS, deterministic=True).ignore_errors()
    # An extra item, so that there is a batch even if no file can be decoded.
    extra = tf.data.Dataset.from_tensors((-1, *(tf.zeros(spec.shape, spec.dtype) for spec in specs)))
    batch = loaded.concatenate(extra).batch(tf.cast(count, tf.int64) + 1)
    options = tf.data.Options()
    # In TensorFlow 2.21 the autotuning thread can delay the end of a dataset by seconds.
    options.autotune.enabled = False
    numbers, *images = batch.with_options(options).get_single_element()
    positions = numbers[:-1, tf.newaxis]
    is_loaded = tf.scatter_nd(positions, tf.ones_like(numbers[:-1]), [count])
    scattered = [
        tf.scatter_nd(positions, values[:-1], tf.concat([[count], spec.shape], axis=0))
        for values, spec in zip(images, specs, strict=True)
    ]
    scattered = [
        tf.ensure_shape(values, (None, *spec.shape)) for values, spec in zip(scattered, specs, strict=True)
    ]
    return tf.where(is_loaded > 0, NO_ERROR, UNDECODABLE), scattered
