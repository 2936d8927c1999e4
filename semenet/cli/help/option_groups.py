"""Under which heading of a page of `--help` an option stands."""

# The headings in their order. An option that is in none of them stands under "options".
OPTION_GROUPS = {
    "data": (
        *("images", "manifest", "split", "splits", "root", "classes", "labels", "channels", "views"),
        *("by", "folds", "leave-out", "val-share", "fold-seed", "only"),
        *("lungs", "lungs-box", "lungs-box-margin", "standardize", "inference-clahe"),
        *("balance", "balance-power", "epoch-images"),
        *("on-error", "skip-at-most", "allow-patient-overlap", "cache", "cache-folder"),
    ),
    "network": (
        *("input-size", "input-sizes", "width", "depth", "se-ratio", "se-placement"),
        *("moex-p", "moex-lam", "moex-position", "bn-momentum", "weights", "freeze-backbone"),
    ),
    "optimisation": (
        *("optimizer", "learning-rate", "momentum", "weight-decay", "schedule", "minimum-learning-rate"),
        *("cycles", "warmup", "clip-norm", "label-smoothing", "class-weights", "ema", "epochs", "patience"),
        *("batch-size", "precision", "monitor"),
    ),
    "augmentation": (
        *("clahe", "clahe-draw", "rotation", "zoom", "shift", "gamma", "contrast"),
        *("acquisition", "acquisition-changes"),
    ),
    "distillation": ("teacher", "distill-temperature", "distill-weight", "attention-weight"),
    "unlearning the source": (
        *("group-by", "dro-step", "dro-adjustment", "unlearn", "unlearn-weight", "unlearn-within"),
        "lung-attention-weight",
    ),
    "heat maps": ("maps", "map-method", "map-layer", "method", "layer", "class-name", "methods", "layers"),
    "run": (
        *("out", "preset", "seed", "deterministic", "checkpoint-every", "tensorboard", "distribute"),
        *("coordinator", "processes", "rank", "resamples", "tta", "audit", "refined"),
    ),
}
# A shorter page is read without headings.
MANY_OPTIONS = 14


def group_of(dest: str) -> str:
    """Returns the heading of an option.

    Args:
        dest: the option's name, without the hyphens in front.
    """
    return next((heading for heading, names in OPTION_GROUPS.items() if dest in names), "options")
