"""The RSNA Pneumonia Detection Challenge of 2018."""

import pathlib
from collections.abc import Callable

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.findings.finding_rows import build_rows, cells_of
from semenet.data.sources.findings.published_folder import find_table, read_dicom_headers, read_table
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, warn_source
from semenet.storage.json_files import JsonError, object_schema, read_json

_NAME = "RSNA Pneumonia Detection Challenge"
_CLASSES = ("Lung Opacity", "No Lung Opacity / Not Normal", "Normal")
_BOX = ("x", "y", "width", "height")
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_MAPPING_SCHEMA = {
    "type": "array",
    "items": object_schema({"subset_img_id": {"type": "string"}, "img_id": {"type": "string"}}),
}


def read_rsna(
    folder: pathlib.Path | str,
    *,
    mapping: pathlib.Path | str | None = None,
    rules: RowRules | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> pd.DataFrame:
    """Turns the labelled part (train) of the RSNA Pneumonia Detection Challenge into the rows of a manifest.

    The images are from ChestX-ray14, read again by radiologists. The publisher's `patientId` names an image,
    not a patient. RSNA's mapping tells the image of ChestX-ray14 and so the patient, with the name that
    `read_nih` gives it, so that `combine_manifests` finds patients in two splits. Without the mapping every
    image counts as its own patient. By default a row's label is "pneumonia" with Lung Opacity, "normal" with
    Normal, otherwise "other".

    Reference: Shih et al., Radiology: Artificial Intelligence 1 (2019), doi:10.1148/ryai.2019180041;
    https://www.kaggle.com/c/rsna-pneumonia-detection-challenge. The challenge's terms of use; registration.
    The
    mapping: https://s3.amazonaws.com/east1.public.rsna.org/AI/2018/pneumonia-challenge-dataset-mappings_2018.json

    Args:
        folder: the folder with stage_2_train_labels.csv, stage_2_detailed_class_info.csv and
            stage_2_train_images/*.dcm.
        mapping: RSNA's mapping; None for the one in `folder`, if it is there.
        rules: which rows, columns and labels; None for the defaults.
        progress: is called with the numbers of read and of all DICOM headers.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient`, `split` (drawn by patient),
        `source`, `license`, `view`, `sex` and `age` (from the DICOM headers), `boxes` ("x y width height" in
        pixels, separated by ";"), with the mapping `nih_image`, and one column for each of the three classes.

    Raises:
        SourceError: a table is missing or damaged, or a listed file is missing.

    Example:
        >>> from semenet.data.sources import read_rsna
        >>> rows = read_rsna("rsna-pneumonia-detection-challenge")  # doctest: +SKIP
    """
    folder = pathlib.Path(folder)
    boxes_path = find_table(folder, ("stage_2_train_labels.csv",), _NAME)
    # One row for each box: an image has several.
    boxes = read_table(boxes_path, ("patientId", *_BOX, "Target"), _NAME)
    class_path = find_table(folder, ("stage_2_detailed_class_info.csv",), _NAME)
    classes = read_table(class_path, ("patientId", "class"), _NAME).drop_duplicates()
    _check_classes(classes, boxes, class_path)
    named = boxes[list(_BOX)].map(_pixels)
    box = named["x"] + " " + named["y"] + " " + named["width"] + " " + named["height"]
    box = box.where(boxes["x"] != "", "")
    boxes_of = box.groupby(boxes["patientId"]).agg(lambda each: ";".join(filter(None, each)))
    names = classes["patientId"].reset_index(drop=True)
    images = pd.DataFrame({"file": "stage_2_train_images/" + names + ".dcm"})
    headers = read_dicom_headers(
        [folder / file for file in images["file"]], ("ViewPosition", "PatientSex", "PatientAge"), progress
    )
    images["view"], images["sex"], images["age"] = (headers[column] for column in headers)
    images["boxes"] = names.map(boxes_of)
    images["patient"] = "rsna-" + names
    path = folder / MAPPING if mapping is None else pathlib.Path(mapping)
    if mapping is not None or path.is_file():
        originals = _read_mapping(path)
        unmapped = [name for name in names if name not in originals]
        if unmapped:
            raise SourceError(
                f"The mapping must name every image. Received: {path} without {len(unmapped)} of "
                f"{len(names)}, such as {unmapped[0]}. Download it again."
            )
        images["nih_image"] = names.map(originals)
        images["patient"] = "nih-" + images["nih_image"].str.split("_").str[0]
    else:
        warn_source(
            f"{_NAME}: without {MAPPING} in the folder every image counts as its own patient. Download it "
            "from https://s3.amazonaws.com/east1.public.rsna.org/AI/2018/ to know the patients."
        )
    label = classes["class"].reset_index(drop=True)
    findings = pd.DataFrame({name: cells_of(label == name) for name in _CLASSES})
    return build_rows(
        images,
        findings,
        folder,
        rules or RowRules(),
        source="rsna-pneumonia",
        license="terms of the RSNA Pneumonia Detection Challenge",
        labels={"Lung Opacity": "pneumonia", "Normal": "normal"},
        from_headers=True,
    )


def _check_classes(classes: pd.DataFrame, boxes: pd.DataFrame, path: pathlib.Path) -> None:
    unknown = sorted(set(classes["class"]) - set(_CLASSES))
    repeated = classes["patientId"][classes["patientId"].duplicated()].tolist()
    opacities = set(boxes.loc[boxes["Target"].isin(["1", "1.0"]), "patientId"])
    differing = sorted(opacities ^ set(classes.loc[classes["class"] == _CLASSES[0], "patientId"]))
    for wrong, what in (
        (unknown, "has other classes"),
        (repeated, "gives an image two classes"),
        (differing, "disagrees with Target of stage_2_train_labels.csv"),
    ):
        if wrong:
            raise SourceError(
                f"Each image must have one of the classes {', '.join(_CLASSES)}, and boxes only with the "
                f"first. Received: {path}, which {what}: {shorten(wrong)}. Download the tables again."
            )


def _pixels(text: str) -> str:
    """Shortens "264.0" to "264"."""
    return text.removesuffix(".0")


def _read_mapping(path: pathlib.Path) -> dict[str, str]:
    try:
        entries = read_json(path, _MAPPING_SCHEMA)
        return {entry["subset_img_id"]: entry["img_id"] for entry in entries}
    except (OSError, JsonError) as error:
        raise SourceError(
            f"RSNA's mapping must be a JSON list with subset_img_id and img_id. Received: {path}: {error}. "
            "Download it again."
        ) from error
