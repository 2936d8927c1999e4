"""Presets: where a recipe's settings come from, the paper or today's practice within the same networks."""

import dataclasses

from semenet.errors import SemenetError

PRESETS = ("paper", "modern")

# What tools/paper/presets.py measures one by one.
MODERN = {
    "cosine": {"schedule": "cosine", "minimum_learning_rate": 1e-6, "warmup": 0.1},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "ema": {"ema": 0.999},
    "geometry": {"rotation": 10.0, "zoom": 0.1, "shift": 0.05},
    "tone": {"gamma": 0.2, "contrast": 0.2},
    "label_smoothing": {"label_smoothing": 0.1},
    "class_weights": {"class_weights": "balanced"},
}
_OF_CLASSIFIERS = ("label_smoothing", "class_weights")


def with_preset(recipe, preset):
    """A recipe with a preset's settings in place of its own.

    Args:
        recipe: `Recipe`.
        preset: "paper" for the recipe as it is, or "modern" for AdamW with warm-up and cosine annealing, a
            moving average of the weights, stronger augmentation and, where images are classified, label
            smoothing and class weights. docs/training.md says what each did on validation.

    Returns:
        `Recipe`.

    Raises:
        ValueError: for another preset.
    """
    if preset not in PRESETS:
        raise SemenetError(
            f"A preset is one of {', '.join(PRESETS)}. Received: {preset!r}. 'paper' is the recipe as it is."
        )
    if preset == "paper":
        return recipe
    settings = {}
    for part, values in MODERN.items():
        if not (recipe.segments and part in _OF_CLASSIFIERS):
            settings |= values
    return dataclasses.replace(recipe, **settings)
