"""Builds the network of a recipe, which stores in its head how images must be prepared for it."""

import keras

from semenet.models.catalog import build
from semenet.training.recipe import Recipe


def build_network(recipe: Recipe) -> keras.Model:
    """Builds a recipe's network. With `freeze_backbone`, all layers before `features` are frozen."""
    # Open if it grows during the training; the saved network has the last size.
    side = None if recipe.input_sizes else recipe.input_size
    network = build(
        recipe.entry,
        classes=recipe.classes,
        input_shape=(side, side, recipe.channels),
        weights=recipe.weights,
        **({"activation": "sigmoid"} if recipe.several_labels else {}),
        **recipe.architecture,
    )
    head = network.get_layer("head")
    head.inference_clahe = recipe.inference_clahe
    if not recipe.segments:
        head.lungs_alone = recipe.lungs_alone
        head.lungs_box, head.lungs_box_margin = recipe.lungs_box, recipe.lungs_box_margin
        head.standardize = recipe.standardize
    if recipe.freeze_backbone:
        for layer in network.layers:
            if layer.name == "features":
                break
            layer.trainable = False
    return network
