"""The audit: whether a network, or the data it is measured on, lets the label be told without the lungs."""

import json

import numpy as np

from semenet import metrics
from semenet.data.manifest.table import label_index, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.drawing.pages import page
from semenet.evaluation.shortcut_audit import blackouts, verdict
from semenet.evaluation.shortcut_audit.network_views import Viewed
from semenet.evaluation.shortcut_audit.origins import origin_probes
from semenet.evaluation.shortcut_audit.probes import crossed_probabilities, fitted_probabilities
from semenet.evaluation.shortcut_audit.tables import audit_tables
from semenet.inference.lung_masks import LungMasks
from semenet.metrics.patient_bootstrap import classification_intervals, paired_intervals
from semenet.storage.atomic import check_output_folder, output_folder, write_together
from semenet.training.run_folder.run import Run, versions

FIT_SPLIT = "train"
# Of these so many are drawn; a linear probe gains nothing from more.
MOST_FITTED = 2000


def audit(
    run_path,
    manifest_path,
    out,
    split="val",
    root=None,
    batch_size=16,
    *,
    lungs=None,
    resamples=2000,
    seed=0,
):
    """Asks whether the label can be told without the lungs, and writes `audit.json` and `audit.html`.

    Three pieces of evidence decide, by `semenet.evaluation.shortcut_audit.verdict.RULE`, each a macro AUROC
    on
    patients that
    nothing was fitted to: the network's own decisions on images with the lungs blacked out; a linear
    classifier on the network's features of such images; and one on the bright marks outside the lungs,
    such as burnt-in letters, which tells of the data whether this network uses them or not. A network that is
    fed lungs alone is asked for the lungs' outline instead, and marks do not reach it. The classifiers are
    fitted to the manifest's split train or, where there is none beside the one measured, to four fifths of
    its patients in turn.

    The other figures are there to be read: what the network decides with the lungs alone, without the
    corners, without the border, and whether its features tell source, view and the like.

    Args:
        run_path: a run folder, or a bare `.keras` file.
        manifest_path: the manifest's CSV, with the columns file, label, patient, split, and mask unless
            `lungs` is given. Rows to fit to that have no mask are left out.
        out: the folder to write to; made if absent.
        split: the split to measure on.
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images predicted at a time.
        lungs: a run folder or `.keras` file of a U-Net that finds the lungs; None for the manifest's masks.
        resamples: int, of the patients, for the intervals.
        seed: int, of the resamples and of the images drawn to fit to.

    Returns:
        dict, the content of audit.json; docs/evaluation.md describes it.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label the network does not know.
        ImageError: an image or mask cannot be read.
        WeightsError: there is no run, or a network cannot be loaded.
        ValueError: the network segments; `lungs` does not; an image has no mask; or outputs are NaN.
    """
    run = Run.open(run_path)
    check_output_folder(out)
    model_sha256 = run.sha256
    if run.segments:
        raise SemenetError(
            f"An audit is of a classifier. Received: {run.path}, a segmentation network. "
            "Name a classifier's run."
        )
    masks = LungMasks.open(lungs)
    manifest = read_manifest(manifest_path, root, required=("label",))
    rows = manifest.split(split)
    fit_rows = _rows_to_fit(manifest.rows, rows, split, run.class_names, seed)
    masks.check_available(rows)
    if masks.run is None:
        fit_rows = fit_rows[fit_rows["mask_path"] != ""].reset_index(drop=True)
    out = output_folder(out)
    subjects = _Subjects(rows, run.class_names, resamples, seed)
    views = blackouts.views_of(run.lungs_alone)
    measured = Viewed(run, masks, rows, batch_size, views, "Measuring")
    views = {name: views[name] for name in ("as_fed", "without_lungs")}
    fitted = Viewed(run, masks, fit_rows, batch_size, views, "Fitting") if len(fit_rows) else None
    evidence = _evidence(run, subjects, measured, fitted, fit_rows)
    own = subjects.judge(measured.probabilities["as_fed"])
    found, words = verdict.decide(
        own,
        evidence,
        fewest_patients=int(rows.groupby("label")["patient"].nunique().min()),
        implausible=measured.lungs["implausible"] / len(rows),
    )
    of_views = _views(subjects, measured.probabilities, run.class_names)
    if "without_corners" in of_views:
        words.append(verdict.dependence(own, of_views["without_corners"]))
    result = {
        "verdict": found,
        "words": words,
        "rule": verdict.RULE,
        "learnt": own,
        "evidence": evidence,
        "views": of_views,
        "origins": origin_probes(
            rows, measured.features["as_fed"], fit_rows, fitted and fitted.features["as_fed"]
        ),
        "network": run.model.name,
        "fed": "lungs alone" if run.lungs_alone else "whole images",
        "masks": masks.source,
        "lungs": measured.lungs,
        "fitted_to": {"split": FIT_SPLIT, "images": len(fit_rows)} if fitted else {"folds_of": split},
        "split": split,
        "count": len(rows),
        "patients": int(rows["patient"].nunique()),
        "class_names": list(run.class_names),
        "manifest_sha256": manifest.sha256,
        "model_sha256": model_sha256,
        "seed": seed,
        "resamples": resamples,
        "command": command_line(
            "audit",
            run_path,
            manifest=manifest_path,
            split=split,
            out=out,
            root=root,
            batch_size=batch_size,
            lungs=lungs,
        ),
        "versions": versions(),
    }
    shown = page("audit.html.j2", audit=result, versions=result["versions"], **audit_tables(result))
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_together({out / "audit.html": shown.encode(), out / "audit.json": text.encode()})
    return result


class _Subjects:
    """The images that are measured: their classes and patients."""

    def __init__(self, rows, class_names, resamples, seed):
        self.class_names = class_names
        self.index = label_index(rows, class_names)
        self.patients = rows["patient"].to_numpy()
        self.resampling = {"resamples": resamples, "seed": seed}

    def judge(self, probabilities):
        """How well probabilities tell the class: dict of `macro_auroc`, its `interval`, and of `classes`."""
        if probabilities is None:
            return {"macro_auroc": None, "interval": None, "classes": dict.fromkeys(self.class_names)}
        found = classification_intervals(
            self.index, probabilities, self.class_names, self.patients, **self.resampling
        )
        return {
            "macro_auroc": metrics.macro_auroc(self.index, probabilities),
            "interval": found["macro_auroc"],
            "classes": {name: found[f"per_class.{name}.auroc"] for name in self.class_names},
        }

    def compare(self, first, second):
        """Of the macro AUROC: `difference` and `interval`."""
        found = paired_intervals(
            self.index, first, second, self.class_names, self.patients, **self.resampling
        )["macro_auroc"]
        return {"difference": found["difference"], "interval": found["interval"]}


def _evidence(run, subjects, measured, fitted, fit_rows):
    def told_by(features, fit_features):
        classes = len(subjects.class_names)
        if fitted is None:
            return crossed_probabilities(features, subjects.index, subjects.patients, classes)
        return fitted_probabilities(
            fit_features, label_index(fit_rows, subjects.class_names), features, classes
        )

    without = "without_lungs"
    names = (
        ("decisions_on_outlines", "features_of_outlines")
        if run.lungs_alone
        else (
            "decisions_without_lungs",
            "features_without_lungs",
        )
    )
    found = {
        names[0]: measured.probabilities[without],
        names[1]: told_by(measured.features[without], fitted and fitted.features[without]),
    }
    if measured.marks is not None:
        found["marks"] = told_by(measured.marks, fitted and fitted.marks)
    evidence = {name: subjects.judge(probabilities) for name, probabilities in found.items()}
    if measured.marks is not None:
        evidence["marks"]["images_with_marks"] = float(measured.marks.any(axis=1).mean())
    return evidence


def _views(subjects, probabilities, class_names):
    own = probabilities["as_fed"]
    views = {}
    for name, outputs in probabilities.items():
        figures = metrics.classification(subjects.index, outputs, class_names)
        views[name] = subjects.judge(outputs) | {
            "accuracy": figures["accuracy"],
            "auroc": {label: of_class["auroc"] for label, of_class in figures["per_class"].items()},
        }
        if name != "as_fed":
            compared = subjects.compare(own, outputs)
            views[name] |= {
                "changed": float(np.mean(outputs.argmax(axis=1) != own.argmax(axis=1))),
                "difference": compared["difference"],
                "difference_interval": compared["interval"],
            }
    return views


def _rows_to_fit(rows, measured, split, class_names, seed):
    """Rows of the split train of other patients than those measured, with labels the network knows."""
    usable = (
        (rows["split"] == FIT_SPLIT)
        & (split != FIT_SPLIT)
        & ~rows["patient"].isin(set(measured["patient"]))
        & rows["label"].isin(class_names)
    )
    chosen = rows[usable]
    if len(chosen) > MOST_FITTED:
        drawn = np.random.default_rng(seed).permutation(len(chosen))[:MOST_FITTED]
        chosen = chosen.iloc[np.sort(drawn)]
    return chosen.reset_index(drop=True)
