"""Renders the report as one self-contained HTML file."""

import datetime
from collections.abc import Mapping
from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.data.phantom.synthetic_rows import synthetic_sentence
from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.pages import render_page
from semenet.evaluation.drawing.pictures import picture
from semenet.evaluation.measure.choices import describe_evidence
from semenet.evaluation.report.failed_checks import failed_checks
from semenet.evaluation.report.metric_names import MEANINGS
from semenet.evaluation.shortcut_audit.tables import audit_tables
from semenet.training.run_folder.run import Run

# With fewer patients, the intervals of the bootstrap are too narrow.
MIN_PATIENTS = 30


def render_report(
    *,
    run: Run,
    manifest: Manifest,
    result: dict[str, Any],
    sections: Mapping[str, Any],
    audit: dict[str, Any] | None,
    date: datetime.datetime,
) -> str:
    """Renders the report.

    Args:
        run: the run of the network.
        manifest: the manifest that it was evaluated on.
        result: the content of metrics.json.
        sections: template variables of `semenet.evaluation.report.sections`.
        audit: the content of audit.json; or None.
        date: timezone-aware date of the evaluation.

    Returns:
        str, an HTML document without external references.
    """
    counts = _split_counts(manifest, run)
    variables = {
        "per_class": None,
        "findings": None,
        "curves": [],
        "spread": None,
        "calibration": None,
        "subgroups": [],
        "where": None,
        "audit_views": [],
        "audit_origins": [],
    }
    variables |= sections | ({} if audit is None else audit_tables(audit))
    return render_page(
        "report.html.j2",
        **variables,
        network=run.model.name,
        run=run,
        parameters=run.model.count_params(),
        training=_training_pictures(run),
        manifest=manifest,
        headline=_headline(result),
        synthetic=synthetic_sentence(result.get("synthetic_images", 0), result["count"]),
        failed=failed_checks(result),
        splits=[[name, *of_split.values()] for name, of_split in counts.items()],
        split_columns=["Images", "Patients", *list(next(iter(counts.values())))[2:]],
        warnings=[
            *_warnings(manifest, result["split"], run, result["tta"]),
            *partial_label_sentences(result),
            *_lung_warnings(result),
        ],
        audit=audit,
        evidence=result["evidence"],
        evidence_words=describe_evidence(
            result["evidence"], (result["chosen_on"] or {}).get(result["split"], [])
        ),
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


def partial_label_sentences(result: dict[str, Any]) -> list[str]:
    """Returns a sentence on how partial labels count, for a report or card; none without partial labels.

    Args:
        result: the content of metrics.json.
    """
    found = result.get("partial_labels")
    if found is None:
        return []
    classes = {name: found["left_out"][f"per_class.{name}"] for name in result["class_names"]}
    return [
        f"{found['count']} images have a partial label, such as bacteria|virus. They are left out of "
        "accuracy, balanced accuracy, the confusion matrix, the Brier score and calibration. The metrics of "
        "one class against the rest leave out those whose label does not decide it: "
        + ", ".join(f"{count} for {name}" for name, count in classes.items())
        + "."
    ]


def _headline(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "meaning": meaning, "value": result[key], "interval": result["intervals"][key]}
        for key, (name, meaning) in MEANINGS.items()
        if key in result
    ]


def _training_pictures(run: Run) -> list[dict[str, Any]]:
    if run.history is None or run.history.empty:
        return []
    last = run.history.iloc[-1]
    return [
        picture(
            {"losses": "Loss during training", "metrics": "Metrics during training"}[panel],
            figure,
            f"Curves over {len(run.history)} epochs; values of the last epoch: "
            + ", ".join(
                f"{line.get_label()} {last[line.get_label()]:.3f}"
                for line in figure.axes[0].lines
                if line.get_label() in last
            ),
        )
        for panel, figure in plots.training_curves(run.history, run.record.get("best_epoch")).items()
    ]


def _split_counts(manifest: Manifest, run: Run) -> dict[str, dict[str, int]]:
    """Counts images, patients and images per class in each split; unknown labels come last."""
    rows = manifest.rows
    labels = []
    if not run.segments and "label" in rows:
        labels = [*run.class_names, *sorted(set(rows["label"]) - set(run.class_names))]
    order = {name: place for place, name in enumerate(("train", "val", "test"))}
    counts = {}
    for name in sorted(set(rows["split"]), key=lambda name: (order.get(name, len(order)), name)):
        of_split = rows[rows["split"] == name]
        counts[name] = {"images": len(of_split), "patients": of_split["patient"].nunique()} | {
            label: int((of_split["label"] == label).sum()) for label in labels
        }
    return counts


def _lung_warnings(result: dict[str, Any]) -> list[str]:
    """Returns a warning if a network that sees images by way of their lung masks had to see some whole."""
    lungs = result.get("lungs", {"implausible": 0})
    if not lungs["implausible"]:
        return []
    return [
        f"{lungs['implausible']} of {lungs['images']} lung masks are implausible: the network saw these "
        "images whole. predictions.csv names the failed checks in the column lung_flags."
    ]


def _warnings(manifest: Manifest, split: str, run: Run, tta: int = 1) -> list[str]:
    """Returns warnings about what makes the metrics optimistic or hard to compare."""
    warnings = []
    rows = manifest.rows
    trained = set(rows.loc[rows["split"] == "train", "patient"])
    if split == "train":
        warnings.append(
            "These are the training images: the metrics show how well the network memorised them, not how "
            "well it generalises."
        )
    elif shared := trained & set(rows.loc[rows["split"] == split, "patient"]):
        warnings.append(
            f"{len(shared)} patients of this split also have images in the split train: the metrics are "
            "better than they would be on other patients."
        )
    if overlap := run.record.get("patient_overlap"):
        warnings.append(
            f"The network was trained with {len(overlap)} patients in two splits (--allow-patient-overlap): "
            "its best epoch was chosen on some of the patients it was trained on."
        )
    trained_with = run.record.get("manifest_sha256")
    if split == "val" and trained_with == manifest.sha256:
        warnings.append(
            "The best epoch was chosen by its metrics on this split, so they are somewhat optimistic. "
            "Evaluate on a split that was not used for any choice."
        )
    chosen_on = run.calibration and (run.calibration["split"], run.calibration["manifest_sha256"])
    if chosen_on == (split, manifest.sha256):
        warnings.append(
            "Temperature, operating points and abstention were chosen on this split. Evaluate another split "
            "to see how well they generalise."
        )
    patients = rows.loc[rows["split"] == split, "patient"].nunique()
    if patients < MIN_PATIENTS:
        warnings.append(
            f"The split has {patients} patients: with fewer than {MIN_PATIENTS}, the intervals are too "
            "narrow."
        )
    if tta > 1:
        warnings.append(
            f"Probabilities are averaged over {tta} views of each image (--tta)"
            + ("; temperature and thresholds were chosen without it." if run.calibration else ".")
        )
    if trained_with is None:
        warnings.append(
            "The training data of the network is not recorded: it may include some of these images."
        )
    elif trained_with != manifest.sha256:
        warnings.append(
            "The network was trained with another manifest: whether the two share patients was not checked."
        )
    return warnings
