"""From the rows of a manifest to batches: tf.data pipelines, caches and shards."""
