"""The rules that the values of a recipe must keep, each with the words of its error."""

import math
from typing import Any

from semenet.data.manifest.names import normal_form
from semenet.models.entries import find_entry
from semenet.models.placements import MOEX_POSITIONS, SE_PLACEMENTS
from semenet.training.input_sizes import sizes_rule


def normal_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns class names in Unicode's normal form, as labels are read; anything else stays as it is."""
    if not all(isinstance(name, str) for name in names):
        return names
    return tuple(normal_form(name) for name in names)


def recipe_rules(recipe: Any) -> dict[str, tuple[bool, str]]:
    """Checks every value of a recipe.

    Args:
        recipe: the `Recipe`, which this module cannot import because recipes import it.

    Returns:
        dict from the name of a field to (whether its value is valid, the rule, to follow the field's name).

    Raises:
        SemenetError: a value of the augmentation is out of range, or there is no such entry.
    """
    # Building the augmentation and the sampling checks their values.
    augmentation, entry, classifies = recipe.augmentation, find_entry(recipe.entry), not recipe.segments
    sampling, placements = recipe.sampling, SE_PLACEMENTS.get(entry.backbone, ())
    if recipe.segments:
        augmentation.check_for_segmentation()
    taught = recipe.teacher is not None
    monitors = ["val_macro_auroc", "val_accuracy", "val_macro_f1"]
    several = recipe.labels == "several"
    if recipe.segments:
        monitors = ["val_mean_iou", "val_dice"]
    elif several:
        monitors = ["val_macro_auroc"]
    classifiers_only = "is only for networks that classify"
    moex_rule = "must be in [0, 1], and is only for networks with MoEx"
    return {
        "input_size": (recipe.input_size >= 32, "must be 32 or more"),
        "input_sizes": _growing_sizes(recipe, entry),
        "learning_rate": (0 < recipe.learning_rate < math.inf, "must be positive"),
        "momentum": (0 <= recipe.momentum < 1, "must be in [0, 1)"),
        "minimum_learning_rate": (
            0 <= recipe.minimum_learning_rate <= recipe.learning_rate or recipe.schedule == "constant",
            "must be between 0 and the learning rate",
        ),
        "epochs": (recipe.epochs >= 1, "must be 1 or more"),
        "batch_size": (recipe.batch_size >= 1, "must be 1 or more"),
        "weight_decay": (
            recipe.weight_decay == 0 or (recipe.optimizer == "adamw" and 0 < recipe.weight_decay < 1),
            "must be in [0, 1), and is only for adamw",
        ),
        "cycles": (
            recipe.cycles == 1 or (recipe.schedule == "cosine" and 1 <= recipe.cycles <= recipe.epochs),
            "must be 1 or more, at most the number of epochs, and is only for the cosine schedule",
        ),
        "warmup": (
            recipe.warmup == 0
            or (recipe.schedule == "cosine" and recipe.cycles == 1 and 0 < recipe.warmup < 1),
            "must be in [0, 1), and is only for the cosine schedule of one cycle",
        ),
        "clip_norm": (0 <= recipe.clip_norm < math.inf, "must be 0 or more"),
        "label_smoothing": (0 <= recipe.label_smoothing < 1, "must be in [0, 1)"),
        "class_weights": (
            recipe.class_weights == "none"
            or (classifies and not recipe.dro_step and (several or not sampling.balance)),
            f"{classifiers_only}; --dro-step and --balance, which balance classes themselves, exclude it",
        ),
        "ema": (0 <= recipe.ema < 1, "must be in [0, 1)"),
        "patience": (recipe.patience >= 0, "must be 0 or more"),
        "labels": (
            not several or (classifies and not recipe.unlearns),
            f"{classifiers_only}, and 'several' excludes group DRO, --unlearn and --lung-attention-weight",
        ),
        "teacher": (
            not taught or (classifies and not several),
            f"{classifiers_only}, each image as one class",
        ),
        "freeze_backbone": (
            not recipe.freeze_backbone or recipe.weights is not None,
            "needs --weights, because it freezes trained weights",
        ),
        "distill_temperature": (
            0 < recipe.distill_temperature < math.inf and (taught or recipe.distill_temperature == 4),
            "must be positive, and needs --teacher",
        ),
        "distill_weight": (
            0 <= recipe.distill_weight <= 1
            and (recipe.distill_weight > 0 or recipe.attention_weight != 0)
            and (taught or recipe.distill_weight == 0.5),
            "must be in [0, 1], must be positive if attention_weight is 0, and needs --teacher",
        ),
        "attention_weight": (
            0 <= recipe.attention_weight < math.inf and (taught or recipe.attention_weight == 0),
            "must be 0 or more, and needs --teacher",
        ),
        **_unlearning_rules(recipe, classifies, entry.head),
        "classes": (
            (len(recipe.classes) == 1 if recipe.segments else len(recipe.classes) > (0 if several else 1))
            and len(set(recipe.classes)) == len(recipe.classes)
            and all(name and "|" not in name for name in recipe.classes),
            f"of `{recipe.entry}` must be {'one name' if recipe.segments else 'two or more distinct names'}, "
            "without | (which joins the classes of a partial label)",
        ),
        "se_ratio": (
            recipe.se_ratio is None or (entry.squeeze_excite and recipe.se_ratio >= 1),
            "must be 1 or more, and is only for networks with squeeze-and-excitation",
        ),
        "se_placement": (
            recipe.se_placement is None or (entry.squeeze_excite and recipe.se_placement in placements),
            f"must be one of {', '.join(placements)}, and is only for networks with squeeze-and-excitation"
            if entry.squeeze_excite
            else "is only for networks with squeeze-and-excitation",
        ),
        "moex_position": (
            recipe.moex_position is None
            or (entry.moment_exchange and recipe.moex_position in MOEX_POSITIONS),
            f"must be one of {', '.join(MOEX_POSITIONS)}, and is only for networks with MoEx",
        ),
        "bn_momentum": (
            recipe.bn_momentum is None or (entry.backbone != "vgg19" and 0 <= recipe.bn_momentum < 1),
            "must be in [0, 1), and is only for networks with batch normalisation",
        ),
        "moex_p": (recipe.moex_p is None or (entry.moment_exchange and 0 <= recipe.moex_p <= 1), moex_rule),
        "moex_lam": (
            recipe.moex_lam is None or (entry.moment_exchange and 0 <= recipe.moex_lam <= 1),
            moex_rule,
        ),
        "width": (0 < recipe.width < math.inf, "must be positive"),
        "depth": (0 < recipe.depth < math.inf, "must be positive"),
        "lungs_box": (classifies or not recipe.lungs_box, classifiers_only),
        "lungs_box_margin": (
            0 <= recipe.lungs_box_margin <= 0.5 and (recipe.lungs_box or recipe.lungs_box_margin == 0.04),
            "must be in [0, 0.5], and needs --lungs-box",
        ),
        "standardize": (classifies or not recipe.standardize, classifiers_only),
        "seed": (0 <= recipe.seed < 2**31, "must be in [0, 2**31)"),
        "monitor": (
            recipe.monitor in (*monitors, "val_loss", "loss"),
            f"of `{recipe.entry}` must be one of {', '.join(monitors)}, val_loss, loss",
        ),
    }


def _unlearning_rules(recipe: Any, classifies: bool, head: str) -> dict[str, tuple[bool, str]]:
    columns, unlearns = recipe.group_by, recipe.unlearn is not None
    within = recipe.unlearn_within
    return {
        "group_by": (
            not columns or (classifies and all(columns) and len(set(columns)) == len(columns)),
            "must be distinct names of columns, and is only for networks that classify",
        ),
        "dro_step": (
            0 <= recipe.dro_step < math.inf and bool(recipe.dro_step) == bool(columns),
            "must be 0 or more, and positive exactly with --group-by",
        ),
        "dro_adjustment": (
            0 <= recipe.dro_adjustment < math.inf and bool(recipe.dro_step or not recipe.dro_adjustment),
            "must be 0 or more, and needs --dro-step",
        ),
        "unlearn": (
            not unlearns or (classifies and recipe.unlearn != ""),
            "must be the name of a column, and is only for networks that classify",
        ),
        "unlearn_weight": (
            0 < recipe.unlearn_weight < math.inf and (unlearns or recipe.unlearn_weight == 1),
            "must be positive, and needs --unlearn",
        ),
        "unlearn_within": (
            within is None or (unlearns and within not in ("", recipe.unlearn)),
            "must be the name of another column than that of --unlearn, which it needs",
        ),
        "lung_attention_weight": (
            0 <= recipe.lung_attention_weight < math.inf
            and (head == "gap" or recipe.lung_attention_weight == 0),
            "must be 0 or more, and is only for networks with global average pooling (GAP)",
        ),
    }


def _growing_sizes(recipe: Any, entry: Any) -> tuple[bool, str]:
    if recipe.input_sizes and entry.head != "gap":
        return False, f"is only for classifiers with global average pooling, unlike `{recipe.entry}`"
    if recipe.input_sizes and recipe.teacher is not None:
        return False, "is not for distillation (--teacher), which compares networks of fixed sizes"
    if recipe.input_sizes and recipe.unlearns:
        return False, "is not for training that unlearns the source"
    rule = sizes_rule(recipe.input_sizes, recipe.epochs)
    return rule is None, rule or ""
