"""Copies of a network without the loss and the optimizer that it was compiled with."""

from typing import Any

import keras


def clone_uncompiled(model: keras.Model, **arguments: Any) -> keras.Model:
    """Returns `keras.models.clone_model(model, ...)`, which is not compiled.

    Keras compiles the copy like the model. That fails for a loss that is not registered with Keras, and a
    copy needs no loss to predict.

    Args:
        model: functional `keras.Model`, compiled or not. It stays as it is.
        **arguments: those of `keras.models.clone_model`.
    """
    compiled, model.compiled = model.compiled, False
    try:
        return keras.models.clone_model(model, **arguments)
    finally:
        model.compiled = compiled
