"""A network whose input size grows during its training."""

import keras

from semenet.models.cloning import clone_uncompiled
from semenet.training.input_sizes import SizePhase
from semenet.training.recipe import Recipe


def with_input_size(network: keras.Model, size: int) -> keras.Model:
    """Returns a network with a fixed input size that shares all layers with one of an open size.

    Args:
        network: functional `keras.Model` with the input `(None, None, C)`.
        size: height and width of the new input in pixels.

    Returns:
        A model of the same class with the input `(size, size, C)`, the same layers and the same weights.
    """
    image = network.inputs[0]
    fixed = keras.Input((size, size, image.shape[-1]), dtype=image.dtype, name=image.name)
    shared = clone_uncompiled(
        network,
        input_tensors=keras.tree.pack_sequence_as(network.input, [fixed]),
        clone_function=lambda layer: layer,
    )
    if hasattr(network, "class_names"):
        shared.class_names = network.class_names
    return shared


def phase_of(recipe: Recipe, epoch: int) -> SizePhase:
    """Returns the phase of a run that an epoch, numbered from 0, belongs to."""
    return next(phase for phase in recipe.size_phases if epoch < phase.end_epoch)
