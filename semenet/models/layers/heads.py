"""The classifiers at the end of the networks. They carry the names of the classes."""

import keras

from semenet.errors import SemenetError

RESERVED = ("file", "label", "mask", "patient", "predicted")


def check_class_names(class_names):
    """Returns class names as a tuple of str; raises ValueError for none, blank or repeated ones."""
    names = tuple(class_names)
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise SemenetError(
            f"Class names head columns of tables beside {', '.join(RESERVED)}. "
            f"Received: {', '.join(reserved)}. Choose other names."
        )
    if not names or len(set(names)) != len(names) or not all(_is_name(name) for name in names):
        raise SemenetError(
            "Class names must be one or more distinct, non-empty strings. "
            f"Received: {names!r}. Give one name a class, in the order of the outputs."
        )
    return names


def _is_name(name):
    return isinstance(name, str) and bool(name.strip())


@keras.saving.register_keras_serializable("semenet")
class ClassifierHead(keras.layers.Dense):
    """A dense classifier that knows the names of its classes. It computes in float32.

    Args:
        class_names: sequence of K distinct str, in the order of the outputs.
        inference_clahe: bool, whether the network was trained to be fed images after CLAHE: what feeds it
            reads that here.
        lungs_alone: bool, whether the network was trained to be fed lungs alone, all else black; likewise.
        **kwargs: `keras.layers.Dense`'s arguments but `units`.

    Input shape:
        `(N, C)`.

    Output shape:
        `(N, K)`, float32 whatever the policy: probabilities under softmax or sigmoid, logits under linear.

    Raises:
        ValueError: if there are no names, or blank or repeated ones.
    """

    def __init__(self, class_names, inference_clahe=False, lungs_alone=False, **kwargs):
        self.class_names = check_class_names(class_names)
        self.inference_clahe = inference_clahe
        self.lungs_alone = lungs_alone
        kwargs = {"dtype": "float32", "kernel_initializer": "he_uniform"} | kwargs
        super().__init__(len(self.class_names), **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["units"]
        own = {"inference_clahe": self.inference_clahe, "lungs_alone": self.lungs_alone}
        return config | own | {"class_names": list(self.class_names)}


@keras.saving.register_keras_serializable("semenet")
class SegmentationHead(keras.layers.Conv2D):
    """A 1 x 1 convolution that classifies each pixel. It knows its classes and computes in float32.

    Args:
        class_names: sequence of K distinct str, in the order of the output channels.
        inference_clahe: bool, as for `ClassifierHead`.
        **kwargs: `keras.layers.Conv2D`'s arguments but `filters` and `kernel_size`.

    Input shape:
        `(N, H, W, C)`.

    Output shape:
        `(N, H, W, K)`, float32 whatever the policy.

    Raises:
        ValueError: if there are no names, or blank or repeated ones.
    """

    def __init__(self, class_names, inference_clahe=False, **kwargs):
        self.class_names = check_class_names(class_names)
        self.inference_clahe = inference_clahe
        kwargs = {"dtype": "float32", "kernel_initializer": "he_uniform"} | kwargs
        super().__init__(len(self.class_names), 1, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["filters"], config["kernel_size"]
        own = {"class_names": list(self.class_names), "inference_clahe": self.inference_clahe}
        return config | own


def global_average(x):
    """Averages a feature map `(N, H, W, C)` over its positions to `(N, C)`, in float32."""
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)


def flatten(x, units=()):
    """Flattens a feature map `(N, H, W, C)` and runs it through hidden layers, one for each of `units`.

    Args:
        x: feature map of known height and width.
        units: sizes of the ReLU layers `fc1`, `fc2`, ... (VGG19 has two of 4096).

    Returns:
        `(N, H * W * C)`, or `(N, units[-1])`.
    """
    x = keras.layers.Flatten(name="flatten")(x)
    for number, size in enumerate(units, start=1):
        x = keras.layers.Dense(size, activation="relu", kernel_initializer="he_uniform", name=f"fc{number}")(
            x
        )
    return x
