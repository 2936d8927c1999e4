"""Presets: settings as in the paper, as in today's practice, or for networks that hold in other hospitals."""

import dataclasses

from semenet.errors import SemenetError
from semenet.training.recipe import Recipe

PRESETS = ("paper", "modern", "hospitals")

# tools/paper/presets.py measures the effect of each of these.
MODERN = {
    "cosine": {"schedule": "cosine", "minimum_learning_rate": 1e-6, "warmup": 0.1},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "ema": {"ema": 0.999},
    "geometry": {"rotation": 10.0, "zoom": 0.1, "shift": 0.05},
    "tone": {"gamma": 0.2, "contrast": 0.2},
    "label_smoothing": {"label_smoothing": 0.1},
    "class_weights": {"class_weights": "balanced"},
}
HOSPITALS = {
    "cosine": {"schedule": "cosine", "minimum_learning_rate": 1e-6, "warmup": 0.05},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "ema": {"ema": 0.995},
    "geometry": {"rotation": 10.0, "zoom": 0.1, "shift": 0.05},
    "batch": {"batch_size": 32},
    "acquisition": {"acquisition": 0.4},
    "label_smoothing": {"label_smoothing": 0.05},
    "balance": {"balance": ("label", "source")},
    "lungs": {"lungs_box": True, "standardize": True},
}
_SETTINGS = {"modern": MODERN, "hospitals": HOSPITALS}
_ONLY_FOR_CLASSIFIERS = ("label_smoothing", "class_weights", "balance", "lungs")


def with_preset(recipe: Recipe, preset: str) -> Recipe:
    """Returns a recipe with the settings of a preset.

    Args:
        recipe: the recipe.
        preset: "paper" for the unchanged recipe; "modern" for AdamW with warm-up and cosine annealing, a
            moving average of the weights, stronger augmentation and, for networks that classify, label
            smoothing and class weights; docs/training.md reports the effect of each on validation.
            "hospitals" for networks that hold in hospitals they never saw, trained on several sources: as
            "modern", but with changes of acquisition in place of those of the tone, and with images that are
            drawn with equal classes and nearly equal sources instead of class weights; every image is cut to
            its lungs' box and standardised. With several labels, sources alone are balanced. The manifest
            needs the columns `source` and `mask`.

    Raises:
        SemenetError: there is no such preset.

    Example:
        >>> recipe = semenet.training.find_recipe("seme_resnet50")
        >>> semenet.training.with_preset(recipe, "modern").optimizer
        'adamw'
    """
    if preset not in PRESETS:
        raise SemenetError(
            f"A preset must be one of {', '.join(PRESETS)}. Received: {preset!r}. Pass 'paper' for an "
            "unchanged recipe."
        )
    if preset == "paper":
        return recipe
    settings = {}
    for part, values in _SETTINGS[preset].items():
        if not (recipe.segments and part in _ONLY_FOR_CLASSIFIERS):
            settings |= values
    if recipe.several_labels and "balance" in settings:
        # Findings are balanced by the weights of their positive images.
        settings["balance"] = ("source",)
    return dataclasses.replace(recipe, **settings)
