"""The audit of a classifier: whether it, or its data, allow the label to be predicted without the lungs."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.class_labels import complete_labels, possible_classes
from semenet.data.manifest.table import label_index, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.drawing.pages import render_page
from semenet.evaluation.shortcut_audit import verdict
from semenet.evaluation.shortcut_audit.linear_probes import (
    cross_validated_probabilities,
    fitted_probabilities,
)
from semenet.evaluation.shortcut_audit.occlusions import image_views
from semenet.evaluation.shortcut_audit.origins import origin_probes
from semenet.evaluation.shortcut_audit.tables import audit_tables
from semenet.evaluation.shortcut_audit.view_outputs import ViewOutputs
from semenet.inference.lung_masks import LungMasks
from semenet.metrics.patient_bootstrap import classification_intervals, paired_intervals
from semenet.storage.atomic import check_output_folder, output_folder, write_together
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run

FIT_SPLIT = "train"
# If there are more images to fit to, this many are drawn; a linear probe gains nothing from more.
MAX_FITTED = 2000


def audit(
    run: Run | keras.Model | str | pathlib.Path,
    manifest: str | pathlib.Path,
    split: str = "val",
    *,
    out: str | pathlib.Path,
    root: str | pathlib.Path | None = None,
    batch_size: int = 16,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Tests whether the label can be predicted without the lungs; writes `audit.json` and `audit.html`.

    Three pieces of evidence decide, by `semenet.evaluation.shortcut_audit.verdict.RULE`, each a macro AUROC
    on patients that nothing was fitted to: the network's own decisions on images with the lungs blacked out;
    a linear classifier on the network's features of such images; and a linear classifier on the bright marks
    outside the lungs, such as burnt-in letters, which concerns the data whether this network uses the marks
    or not. A network that takes lungs alone is tested on the outline of the lungs instead, and marks do not
    reach it. The classifiers are fitted to the manifest's split train or, if there is none beside the
    evaluated one, by cross-validation over its patients.

    Images with a partial label count where the metric of a class against the rest allows it, and the linear
    classifiers are not fitted to them.

    Further results are for the reader and do not decide: the network's decisions with the lungs alone,
    without the corners, without the border, and whether its features predict source, view and similar
    columns.

    Args:
        run: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run`, or a network in
            memory.
        manifest: path of the manifest's CSV, with the columns file, label, patient, split, and mask unless
            `lungs` is given. Rows to fit to that have no mask are left out.
        split: the split to evaluate.
        out: the folder to write to; created if missing.
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        batch_size: number of images predicted at a time.
        lungs: the run of a U-Net that segments the lungs; None for the manifest's masks.
        resamples: number of bootstrap resamples of the patients, for the intervals.
        seed: seed of the resamples and of the images drawn to fit to.

    Returns:
        dict, the content of audit.json, with the `verdict` ("shortcut", "clean" or "undecided") and its
        explanation in `words`; docs/evaluation.md describes it.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or contains a label that the network
            does not know.
        ImageError: an image or mask cannot be read.
        WeightsError: the run does not exist, or a network cannot be loaded.
        SemenetError: the network is a segmentation network; `lungs` is not; an image has no mask; or outputs
            are NaN.

    Example:
        >>> found = semenet.audit("run", "manifest.csv", "test", out="audit", resamples=200)
        >>> found["verdict"] in ("shortcut", "clean", "undecided")
        True
    """
    opened = Run.open(run)
    check_output_folder(out)
    model_sha256 = opened.sha256
    if opened.segments:
        raise SemenetError(
            f"Only a classifier can be audited. Received: {opened.name}, a segmentation network. "
            "Use a classifier's run."
        )
    masks = LungMasks.open(lungs)
    table = read_manifest(manifest, root, required=("label",))
    rows = table.split(split)
    fit_rows = _rows_to_fit(table.rows, rows, split, opened.class_names, seed)
    masks.check_available(rows)
    if masks.run is None:
        fit_rows = fit_rows[fit_rows["mask_path"] != ""].reset_index(drop=True)
    folder = output_folder(out)
    labels = _Labels(rows, opened.class_names, resamples, seed)
    views = image_views(opened.lungs_alone)
    measured = ViewOutputs(opened, masks, rows, batch_size, views, "Measuring")
    views = {name: views[name] for name in ("as_fed", "without_lungs")}
    fitted = ViewOutputs(opened, masks, fit_rows, batch_size, views, "Fitting") if len(fit_rows) else None
    evidence = _evidence(opened, labels, measured, fitted, fit_rows)
    own = labels.aurocs(measured.probabilities["as_fed"])
    decision, words = verdict.decide(
        own,
        evidence,
        fewest_patients=labels.fewest_patients,
        implausible=measured.lungs["implausible"] / len(rows),
    )
    of_views = _view_metrics(labels, measured.probabilities)
    if "without_corners" in of_views:
        words.append(verdict.describe_corner_dependence(own, of_views["without_corners"]))
    result = {
        "verdict": decision,
        "words": words,
        "rule": verdict.RULE,
        "learnt": own,
        "evidence": evidence,
        "views": of_views,
        "origins": origin_probes(
            rows, measured.features["as_fed"], fit_rows, fitted.features["as_fed"] if fitted else None
        ),
        "network": opened.model.name,
        "fed": "lungs alone" if opened.lungs_alone else "whole images",
        **({"lung_view": opened.lung_view.describe()} if opened.lung_view.needs_mask else {}),
        "masks": masks.source,
        "lungs": measured.lungs,
        "fitted_to": {"split": FIT_SPLIT, "images": len(fit_rows)} if fitted else {"folds_of": split},
        "split": split,
        "count": len(rows),
        "patients": int(rows["patient"].nunique()),
        "class_names": list(opened.class_names),
        "manifest_sha256": table.sha256,
        "model_sha256": model_sha256,
        "seed": seed,
        "resamples": resamples,
        "command": command_line(
            "audit",
            opened.name,
            manifest=manifest,
            split=split,
            out=folder,
            root=root,
            batch_size=batch_size,
            lungs=masks.run and masks.run.name,
        ),
        "versions": package_versions(),
    }
    html = render_page("audit.html.j2", audit=result, versions=result["versions"], **audit_tables(result))
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_together({folder / "audit.html": html.encode(), folder / "audit.json": text.encode()})
    return result


class _Labels:
    """The classes and patients of the evaluated images."""

    def __init__(self, rows: pd.DataFrame, class_names: Sequence[str], resamples: int, seed: int) -> None:
        self.class_names = class_names
        self.possible = possible_classes(rows, class_names)
        self.complete = complete_labels(self.possible)
        self.patients = rows["patient"].to_numpy()
        complete = rows[self.complete] if self.complete.any() else rows
        self.fewest_patients = int(complete.groupby("label")["patient"].nunique().min())
        self.resampling = {"resamples": resamples, "seed": seed}

    def aurocs(self, probabilities: np.ndarray | None) -> dict[str, Any]:
        """Returns `macro_auroc`, its `interval`, and the intervals of the `classes`."""
        if probabilities is None:
            return {"macro_auroc": None, "interval": None, "classes": dict.fromkeys(self.class_names)}
        found = classification_intervals(
            self.possible, probabilities, self.class_names, self.patients, **self.resampling
        )
        return {
            "macro_auroc": metrics.macro_auroc(self.possible, probabilities),
            "interval": found["macro_auroc"],
            "classes": {name: found[f"per_class.{name}.auroc"] for name in self.class_names},
        }

    def auroc_difference(self, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
        """Returns `difference` and `interval` of the macro AUROC, second minus first."""
        found = paired_intervals(
            self.possible, first, second, self.class_names, self.patients, **self.resampling
        )["macro_auroc"]
        return {"difference": found["difference"], "interval": found["interval"]}


def _evidence(
    run: Run, labels: _Labels, measured: ViewOutputs, fitted: ViewOutputs | None, fit_rows: pd.DataFrame
) -> dict[str, Any]:
    def probe(features: np.ndarray, fit_features: np.ndarray | None) -> np.ndarray | None:
        classes = len(labels.class_names)
        if fitted is None:
            return cross_validated_probabilities(
                features, labels.possible.argmax(axis=1), labels.patients, classes, usable=labels.complete
            )
        return fitted_probabilities(
            fit_features, label_index(fit_rows, labels.class_names), features, classes
        )

    view = "without_lungs"
    decisions, features = ("decisions_without_lungs", "features_without_lungs")
    if run.lungs_alone:
        decisions, features = ("decisions_on_outlines", "features_of_outlines")
    found = {
        decisions: measured.probabilities[view],
        features: probe(measured.features[view], fitted.features[view] if fitted else None),
    }
    if measured.marks is not None:
        found["marks"] = probe(measured.marks, fitted.marks if fitted else None)
    evidence = {name: labels.aurocs(probabilities) for name, probabilities in found.items()}
    if measured.marks is not None:
        evidence["marks"]["images_with_marks"] = float(measured.marks.any(axis=1).mean())
    return evidence


def _view_metrics(labels: _Labels, probabilities: Mapping[str, np.ndarray]) -> dict[str, Any]:
    own = probabilities["as_fed"]
    views = {}
    for name, outputs in probabilities.items():
        values = metrics.classification(labels.possible, outputs, labels.class_names)
        views[name] = labels.aurocs(outputs) | {
            "accuracy": values["accuracy"],
            "auroc": {label: of_class["auroc"] for label, of_class in values["per_class"].items()},
        }
        if name != "as_fed":
            compared = labels.auroc_difference(own, outputs)
            views[name] |= {
                "changed": float(np.mean(outputs.argmax(axis=1) != own.argmax(axis=1))),
                "difference": compared["difference"],
                "difference_interval": compared["interval"],
            }
    return views


def _rows_to_fit(
    rows: pd.DataFrame, measured: pd.DataFrame, split: str, class_names: Sequence[str], seed: int
) -> pd.DataFrame:
    """Returns rows of the split train with known labels, of patients that are not evaluated."""
    usable = (
        (rows["split"] == FIT_SPLIT)
        & (split != FIT_SPLIT)
        & ~rows["patient"].isin(set(measured["patient"]))
        & rows["label"].isin(class_names)
    )
    chosen = rows[usable]
    if len(chosen) > MAX_FITTED:
        drawn = np.random.default_rng(seed).permutation(len(chosen))[:MAX_FITTED]
        chosen = chosen.iloc[np.sort(drawn)]
    return chosen.reset_index(drop=True)
