"""The report: one HTML file that needs nothing else."""

from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.pages import page
from semenet.evaluation.report.sections import picture
from semenet.evaluation.shortcut_audit.tables import audit_tables

# The bootstrap's intervals hold from about so many on.
FEW_PATIENTS = 30

# What a headline figure means, for who reads the report and not the paper.
MEANINGS = {
    "accuracy": ("Accuracy", "share of images whose class was predicted"),
    "balanced_accuracy": ("Balanced accuracy", "mean over the classes of the share found"),
    "macro_f1": ("Macro F1", "mean over the classes, each counting the same"),
    "macro_auroc": ("Macro AUROC", "mean over the classes of class against rest; 0.5 is chance"),
    "micro_auroc": ("Micro AUROC", "all decisions together, frequent classes counting more"),
    "dice": ("Dice", "2 x overlap / sum of both areas, mean over images"),
    "iou": ("IoU", "overlap / union, mean over images"),
    "mean_iou": ("Mean IoU", "mean of the IoU inside and outside, over images"),
    "hausdorff95": ("95 % Hausdorff", "distance of the outlines in pixels of the network's input"),
}


def render(*, run, manifest, result, sections, audit, date):
    """Renders the report.

    Args:
        run: `semenet.training.run_folder.run.Run`.
        manifest: `semenet.data.manifest.table.Manifest`.
        result: dict, the content of metrics.json.
        sections: dict, of `semenet.evaluation.report.sections`.
        audit: dict, the content of audit.json; or None.
        date: aware datetime.

    Returns:
        str, an HTML document that refers to nothing outside itself.
    """
    counts = _split_counts(manifest, run)
    variables = {
        "per_class": None,
        "curves": [],
        "spread": None,
        "calibration": None,
        "subgroups": [],
        "where": None,
        "audit_views": [],
        "audit_origins": [],
    }
    variables |= sections | ({} if audit is None else audit_tables(audit))
    return page(
        "report.html.j2",
        **variables,
        network=run.model.name,
        run=run,
        parameters=run.model.count_params(),
        training=_training_pictures(run),
        manifest=manifest,
        headline=_headline(result),
        splits=[[name, *of_split.values()] for name, of_split in counts.items()],
        split_columns=["Images", "Patients", *list(next(iter(counts.values())))[2:]],
        warnings=_warnings(manifest, result["split"], run, result["tta"]),
        audit=audit,
        date=date,
        **{
            name: result[name]
            for name in (
                "split",
                "count",
                "patients",
                "skipped",
                "command",
                "versions",
                "model_sha256",
                "interval_method",
            )
        },
    )


def _headline(result):
    return [
        {"name": name, "meaning": meaning, "value": result[key], "interval": result["intervals"][key]}
        for key, (name, meaning) in MEANINGS.items()
        if key in result
    ]


def _training_pictures(run):
    if run.history is None or run.history.empty:
        return []
    last = run.history.iloc[-1]
    return [
        picture(
            {"losses": "Loss while training", "figures": "Figures while training"}[panel],
            figure,
            f"Curves over {len(run.history)} epochs; in the last one "
            + ", ".join(
                f"{line.get_label()} {last[line.get_label()]:.3f}"
                for line in figure.axes[0].lines
                if line.get_label() in last
            ),
        )
        for panel, figure in plots.training_curves(run.history, run.record.get("best_epoch")).items()
    ]


def _split_counts(manifest, run):
    """For each split: images, patients, and images a class (labels the network lacks come last)."""
    rows = manifest.rows
    labels = []
    if not run.segments:
        labels = [*run.class_names, *sorted(set(rows["label"]) - set(run.class_names))]
    order = {name: place for place, name in enumerate(("train", "val", "test"))}
    counts = {}
    for name in sorted(set(rows["split"]), key=lambda name: (order.get(name, len(order)), name)):
        of_split = rows[rows["split"] == name]
        counts[name] = {"images": len(of_split), "patients": of_split["patient"].nunique()} | {
            label: int((of_split["label"] == label).sum()) for label in labels
        }
    return counts


def _warnings(manifest, split, run, tta=1):
    """What makes the figures look better than the network is, or hard to compare."""
    warnings = []
    rows = manifest.rows
    trained = set(rows.loc[rows["split"] == "train", "patient"])
    if split == "train":
        warnings.append("These are the training images: the figures say how well they were learnt by heart.")
    elif shared := trained & set(rows.loc[rows["split"] == split, "patient"]):
        warnings.append(
            f"{len(shared)} patients of this split also have images in the split train: the figures are "
            "better than they would be on other patients."
        )
    if overlap := run.record.get("patient_overlap"):
        warnings.append(
            f"The network was trained with {len(overlap)} patients standing in two splits, which had to be "
            "asked for (--allow-patient-overlap): the epoch it is kept from was chosen on some of them."
        )
    trained_with = run.record.get("manifest_sha256")
    if split == "val" and trained_with == manifest.sha256:
        warnings.append(
            "The best epoch was chosen by its figures on this split, so they are somewhat flattered; a split "
            "that chose nothing is a fairer judge."
        )
    chosen_on = run.calibration and (run.calibration["split"], run.calibration["manifest_sha256"])
    if chosen_on == (split, manifest.sha256):
        warnings.append(
            "Temperature, operating points and abstention were chosen on this split: how well they hold, "
            "another split says."
        )
    patients = rows.loc[rows["split"] == split, "patient"].nunique()
    if patients < FEW_PATIENTS:
        warnings.append(
            f"The split has {patients} patients: with fewer than {FEW_PATIENTS}, intervals come out too "
            "narrow."
        )
    if tta > 1:
        warnings.append(
            f"Probabilities are means over {tta} views of each image (--tta)"
            + ("; temperature and thresholds were chosen without." if run.calibration else ".")
        )
    if trained_with is None:
        warnings.append(
            "What the network was trained on is not recorded: some of these images may have been among it."
        )
    elif trained_with != manifest.sha256:
        warnings.append(
            "The network was trained with another manifest: whether patients stand in both was not checked."
        )
    return warnings
