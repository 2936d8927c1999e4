"""The model class of the zoo's networks: it knows its class names, and takes batches alone."""

from typing import Any

import keras

from semenet.errors import SemenetError


@keras.saving.register_keras_serializable("semenet")
class ZooModel(keras.Model):
    """A functional model with class names that every copy keeps.

    `keras.models.clone_model`, `from_config` and a `.keras` file keep the layer `head`, which holds them.

    Args:
        *args: arguments of `keras.Model`: inputs and outputs.
        **kwargs: arguments of `keras.Model`, such as `name`.

    Input shape:
        `(N, H, W, C)`. A single image needs a batch axis: Keras alone would take `(H, W, 1)` for H images.

    Output shape:
        That of the outputs.

    Example:
        >>> import keras
        >>> model = semenet.build("resnet50_gap", classes=("a", "b"), width=0.125, depth=0.1)
        >>> keras.models.clone_model(model).class_names
        ('a', 'b')
    """

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        check_batch_axis(inputs, self.name)
        return super().__call__(inputs, *args, **kwargs)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs.

        Raises:
            AttributeError: the model does not end in a head of the zoo.
        """
        if "_class_names" in self.__dict__:
            return self.__dict__["_class_names"]
        head = next((layer for layer in self.layers if layer.name == "head"), None)
        if not hasattr(head, "class_names"):
            raise AttributeError(
                f"{self.name} has no class names, because it does not end in the zoo's `head`."
            )
        return head.class_names

    @class_names.setter
    def class_names(self, names: tuple[str, ...]) -> None:
        # Past Keras' tracker, which looks for layers and variables.
        self.__dict__["_class_names"] = tuple(names)


def as_zoo_model(model: keras.Model) -> keras.Model:
    """Returns a network with the zoo's head as a `ZooModel` of the same layers, and others as they are."""
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    if isinstance(model, ZooModel) or not hasattr(head, "class_names"):
        return model
    if type(model).__name__ != "Functional":
        # A class of its own, such as keras.Sequential, stays; only its copies lose the names.
        model.class_names = head.class_names
        return model
    return ZooModel(model.input, model.output, name=model.name)


def check_batch_axis(images: Any, name: str) -> None:
    """Rejects a single image without a batch axis.

    Args:
        images: what a model is called with: a tensor or array, or a structure whose first is the images.
        name: the name of the model, for the message.

    Raises:
        SemenetError: the images have three axes.
    """
    shape = getattr(next(iter(keras.tree.flatten(images)), None), "shape", None)
    # A TensorFlow tensor of unknown rank has no length.
    rank = shape.rank if hasattr(shape, "rank") else None if shape is None else len(shape)
    if rank == 3:
        raise SemenetError(
            "A network takes a batch of images (N, H, W, C). "
            f"Received: shape {tuple(shape)} for {name}. Add a batch axis to a single image, image[None], or "
            "a channel axis to grey images, images[..., None]."
        )
