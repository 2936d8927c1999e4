"""Evaluates a network on several manifests and writes one table, hospital by hospital."""

import datetime
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import keras
import pandas as pd

from semenet.data.manifest.table import Manifest, read_manifest
from semenet.data.phantom.synthetic_rows import synthetic_sentence
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.hospitals.hospital_report import render_hospital_card, render_hospitals
from semenet.evaluation.hospitals.hospital_table import Hospital, hospital_rows, read_hospital
from semenet.evaluation.measure.choices import TRAINING, VALIDATION
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.heat_maps.explained_layers import LAST
from semenet.metrics.patient_resamples import check_resamples
from semenet.storage.atomic import check_output_folder, output_folder, write_together
from semenet.storage.csv_cells import csv_text
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run

FORMAT = 1


def evaluate_hospitals(
    run: Run | keras.Model | str | pathlib.Path,
    manifests: Sequence[str | pathlib.Path],
    split: str = "val",
    *,
    out: str | pathlib.Path,
    batch_size: int = 16,
    on_error: str = "raise",
    skip_at_most: float = 0.05,
    tta: int = 1,
    by: str | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    resamples: int = 2000,
    map_method: str | None = None,
    map_layer: str | int = LAST,
) -> dict[str, Any]:
    """Evaluates a network on several manifests: one table, internal beside external, and the difference.

    The internal manifest is the one that the network was trained with, recognised by its hash. Every other
    manifest is external. The difference of a metric is external minus internal. Its interval resamples the
    patients of both. For metrics that are averaged over the classes, the difference is None where a hospital
    has other classes than the internal one.

    Args:
        run: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run`, or a network in
            memory.
        manifests: paths of two or more manifests.
        split: the split to evaluate in each.
        out: the folder to write to: `metrics.json`, `report.html`, `card.md`, `predictions.csv` of all
            hospitals, and a folder for each with its own evaluation, as `semenet.evaluate` writes it.
        batch_size: number of images predicted at a time.
        on_error: as for `semenet.evaluate`.
        skip_at_most: as for `semenet.evaluate`.
        tta: as for `semenet.evaluate`.
        by: a column whose values are listed below each manifest; None for `source`, where it has several.
        lungs: as for `semenet.evaluate`.
        resamples: number of bootstrap resamples of the patients, for the intervals.
        map_method: as for `semenet.evaluate`.
        map_layer: as for `semenet.evaluate`.

    Returns:
        dict, the content of metrics.json, as docs/evaluation.md describes it.

    Raises:
        SemenetError: there are fewer than two manifests, or two are the same; or as for `semenet.evaluate`.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> rows = rows[rows["split"] == "test"].assign(split="val")
        >>> semenet.data.write_manifest(rows, "elsewhere.csv")
        >>> found = semenet.evaluate_hospitals(
        ...     "run", ["manifest.csv", "elsewhere.csv"], out="hospitals", resamples=200
        ... )
        >>> [row["internal"] for row in found["hospitals"]]
        [True, False]
    """
    check_resamples(resamples)
    check_output_folder(out)
    opened = Run.open(run)
    required = ("mask",) if opened.segments else ("label",)
    tables = [read_manifest(path, required=required) for path in manifests]
    _check_manifests(tables)
    for table in tables:
        table.split(split)
    names = _names([table.path for table in tables])
    folder = output_folder(out)
    hospitals = []
    for name, table in zip(names, tables, strict=True):
        result = evaluate(
            opened,
            table.path,
            split,
            out=folder / name,
            batch_size=batch_size,
            on_error=on_error,
            skip_at_most=skip_at_most,
            tta=tta,
            by=by,
            lungs=lungs,
            resamples=resamples,
            map_method=map_method,
            map_layer=map_layer,
        )
        internal = opened.record.get("manifest_sha256") == table.sha256
        hospitals.append(read_hospital(name, folder / name, table, result, internal))
    first = hospitals[0].result
    result = {
        "format": FORMAT,
        "network": first["network"],
        "model_sha256": first["model_sha256"],
        "class_names": first["class_names"],
        "split": split,
        "hospitals": hospital_rows(hospitals, by, resamples),
        "manifests": {
            hospital.name: {
                "sha256": hospital.manifest.sha256,
                "chosen_on": hospital.result["chosen_on"],
                "skipped": hospital.result["skipped"],
            }
            for hospital in hospitals
        },
        "warnings": _warnings(hospitals),
        "interval_method": first["interval_method"],
        "command": command_line(
            "evaluate",
            opened.name,
            *(word for table in tables for word in ("--manifest", table.path)),
            split=split,
            out=folder,
            batch_size=batch_size,
            by=by,
            tta=None if tta == 1 else tta,
            resamples=None if resamples == 2000 else resamples,
        ),
        "versions": package_versions(),
    }
    date = datetime.datetime.now(datetime.UTC)
    rows = [
        hospital.predictions.rows[_columns(hospital)].assign(hospital=hospital.name) for hospital in hospitals
    ]
    contents = {
        "predictions.csv": _joined(rows),
        "report.html": render_hospitals(result, date),
        "card.md": render_hospital_card(opened, result, hospitals, date),
        "metrics.json": json.dumps(result, indent=2, allow_nan=False) + "\n",
    }
    write_together({folder / name: text.encode() for name, text in contents.items()})
    return result


def _columns(hospital: Hospital) -> list[str]:
    scores = hospital.predictions.class_names or tuple(hospital.predictions.scores)
    named = ("file", "patient", "label", "predicted", *scores)
    return [column for column in named if column in hospital.predictions.rows]


def _joined(rows: Sequence[Any]) -> str:
    """Returns the tables one below the other as CSV, with the column `hospital` first."""
    table = pd.concat(rows, ignore_index=True)
    return csv_text(table[["hospital", *table.columns.drop("hospital")]])


def _check_manifests(tables: Sequence[Manifest]) -> None:
    paths = [table.path.resolve() for table in tables]
    if len(paths) < 2 or len(set(paths)) < len(paths):
        raise SemenetError(
            "Hospitals are compared by two or more different manifests. "
            f"Received: {', '.join(str(table.path) for table in tables) or 'none'}. Pass --manifest for "
            "each; `semenet.evaluate` takes a single one."
        )


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
    """Returns a distinct folder name for each manifest: its folder's for manifest.csv, else its own."""
    names = []
    for path in paths:
        stem = path.resolve().parent.name if path.stem == "manifest" and len(paths) > 1 else path.stem
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", stem).strip(".") or "hospital"
        number = 2
        unique = name
        while unique.lower() in (other.lower() for other in names):
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


def _warnings(hospitals: Sequence[Hospital]) -> list[str]:
    warnings = []
    for hospital in hospitals:
        count = hospital.result["count"]
        if sentence := synthetic_sentence(hospital.result.get("synthetic_images", 0), count):
            warnings.append(f"{hospital.name}: {sentence}")
    internal = [hospital for hospital in hospitals if hospital.internal]
    if not internal:
        warnings.append(
            "None of the manifests is the one that the network was trained with, so no differences are "
            "shown. Add that manifest to see them."
        )
    for hospital in internal:
        if hospital.result["evidence"] in (TRAINING, VALIDATION):
            warnings.append(
                f"Something was chosen on the internal images ({hospital.name}, {hospital.result['split']}), "
                "so their metrics are too high, and the differences look larger than they are."
            )
        seen = set(hospital.manifest.rows.loc[hospital.manifest.rows["split"] != "test", "path"])
        for other in hospitals:
            shared = 0 if other.internal else other.predictions.rows["path"].isin(seen).sum()
            if shared:
                warnings.append(
                    f"{shared} of the images of {other.name} are in the train or val split of "
                    f"{hospital.name}: they are not external."
                )
    return warnings
