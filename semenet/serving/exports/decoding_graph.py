"""Encoded images to prepared batches inside a TensorFlow graph, one bad item never spoiling the others."""

import tensorflow as tf

from semenet.data.images.in_graph import decode_image

# What the output `error_code` says of an item.
NO_ERROR, UNDECODABLE = 0, 1
# Where the graph will run is not known when it is made: enough for the processors of most servers.
_AT_A_TIME = 16
ERROR_CODES = {NO_ERROR: "none", UNDECODABLE: "not a PNG or JPEG radiograph that can be decoded"}


def decode_batch(image_bytes, prepare, specs):
    """Decodes and prepares a batch of images of any and mixed sizes and formats, several at a time.

    Args:
        image_bytes: string tensor `(N,)`, whole PNG or JPEG files.
        prepare: a graph function from uint8 `(height, width, 1)` and the file's bytes to a tuple of tensors.
        specs: list of `tf.TensorSpec`, of the tensors of one item.

    Returns:
        int32 `(N,)` of `ERROR_CODES`, and a list of tensors `(N, ...)`, 0 where an item has an error.
    """
    count = tf.size(image_bytes)

    def load(number, contents):
        # The number passes through, so that it is known which items an error took away.
        return number, *prepare(decode_image(contents), contents)

    numbered = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    loaded = numbered.map(load, num_parallel_calls=_AT_A_TIME, deterministic=True).ignore_errors()
    # One item more, so that there is a batch where nothing could be decoded.
    nothing = tf.data.Dataset.from_tensors((-1, *(tf.zeros(spec.shape, spec.dtype) for spec in specs)))
    batch = loaded.concatenate(nothing).batch(tf.cast(count, tf.int64) + 1)
    options = tf.data.Options()
    # In TensorFlow 2.21 the tuning thread can hold up the end of a dataset for seconds.
    options.autotune.enabled = False
    numbers, *images = batch.with_options(options).get_single_element()
    places = numbers[:-1, tf.newaxis]
    found = tf.scatter_nd(places, tf.ones_like(numbers[:-1]), [count])
    spread = [
        tf.scatter_nd(places, values[:-1], tf.concat([[count], spec.shape], axis=0))
        for values, spec in zip(images, specs, strict=True)
    ]
    spread = [
        tf.ensure_shape(values, (None, *spec.shape)) for values, spec in zip(spread, specs, strict=True)
    ]
    return tf.where(found > 0, NO_ERROR, UNDECODABLE), spread
