"""V7's lung annotations (polygons in Darwin JSON)."""

import codecs
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.decoded_image import MAX_PIXELS
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.kermany import parse_kermany_name
from semenet.data.sources.nlm_lungs import write_mask
from semenet.data.sources.source_rows import (
    NOT_STATED,
    SourceError,
    SourceNotFoundError,
    draw_splits,
    is_image_file,
    relative_path,
    warn_source,
)
from semenet.storage.atomic import output_folder, unique_stems
from semenet.storage.file_names import as_paths
from semenet.storage.json_files import parse_json, read_bytes

_LUNG = "lung"
# Coordinates in pixels must be below this value, which OpenCV can draw; NaN is not below it either.
_MAX_COORDINATE = 1e6
_LICENSE = "CC BY 4.0"


@dataclasses.dataclass(frozen=True)
class _Item:
    """The content of a JSON file.

    Attributes:
        names: the names of its image.
        height: image height in pixels.
        width: image width in pixels.
        lungs: for each lung its paths, int32 arrays (corners, 1, 2) of x and y.
        tags: names of the annotations without a polygon.
    """

    names: list[str]
    height: int
    width: int
    lungs: list[list[np.ndarray]]
    tags: list[str]


def read_v7(
    folder: pathlib.Path | str,
    *,
    masks_out: pathlib.Path | str,
    images: pathlib.Path | str | Iterable[pathlib.Path | str] = (),
    patients: Mapping[str, tuple[str, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Turns V7's lung annotations into the rows of a manifest, and writes the masks.

    A JSON file has the form of Darwin 1.0 (`image`, polygons with one path and `additional_paths`) or 2.0
    (`item.slots`, polygons with `paths`). The paths of one annotation are filled by the even-odd rule, so
    that an inner path is a hole; a mask is the union of the annotations named "Lung". Corners are rounded to
    whole pixels (cv2.fillPoly), and the outline is inside. JSON files without a lung (lateral views, CT
    slices) or with a missing image are left out and counted in a `SourceWarning`. The masks include the parts
    of the lungs behind the heart.

    The patient is Kermany's if the image has one of Kermany's names, or the one listed in `patients`.
    Otherwise the file counts as its own patient, and two images of a patient may be in two splits.

    Reference: https://github.com/v7labs/covid-19-xray-dataset; annotations CC BY 4.0.

    Args:
        folder: folder with the JSON files, at any depth.
        masks_out: folder to write the masks into, one PNG per image, 0 outside and 255 inside; it is created.
        images: folder or folders with the images, at any depth; empty for `folder`. An image is found by its
            name in Darwin or by its original name.
        patients: maps an image's file name to (patient, licence), as `covid_chestxray_patients` returns it;
            None for no further patients.
        progress: None, or a function called with the number of masks drawn and the total.
        shares: split names and their shares of the images; the shares sum to 1.
        seed: seed of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` and `mask` (relative to `folder`), `label` (Kermany's,
        "COVID-19" if the image has this tag, or "not stated"), `patient`, `split`, `source`, `license` and
        `finding` (the tags, joined by "; ").

    Raises:
        SourceError: no JSON file has a lung and an image; a JSON file is damaged or has another form; two
            different files have the name of an image.
    """
    folder = pathlib.Path(folder)
    paths = sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
    if not paths:
        raise SourceError(
            f"V7's folder must have one Darwin JSON file per image. Received: {folder}, where there are "
            "none. Download the annotations as Darwin JSON, and unpack them."
        )
    masks_out = pathlib.Path(masks_out)
    image_paths = _find_images(as_paths(images) or [folder], masks_out)
    rows, annotated, without_lung, without_image = [], [], [], []
    for path in paths:
        item = _read_item(path)
        if not item.lungs:
            without_lung.append(path.name)
            continue
        image = _image_of(item.names, image_paths)
        if image is None:
            without_image.append(item.names[-1])
            continue
        annotated.append((image, item))
        rows.append(_row(image, item, folder, patients or {}))
    if not rows:
        raise SourceError(
            "At least one JSON file must have a lung and an existing image. "
            f"Received: {folder} with {len(paths)} JSON files, {len(without_lung)} without a lung, "
            f"{len(without_image)} without an image ({shorten(without_image)}). Pass the folders of the "
            "images (--images)."
        )
    for reason, names in (("have no lung", without_lung), ("have no image", without_image)):
        if names:
            warn_source(
                f"V7: {len(names)} of {len(paths)} JSON files {reason} and were left out: {shorten(names)}."
            )
    frame = pd.DataFrame(rows)
    _check_images_once(frame, folder)
    masks_out = output_folder(masks_out)
    names = unique_stems([image for image, _ in annotated])
    for done, (row, name, (_, item)) in enumerate(zip(rows, names, annotated, strict=True), start=1):
        path = masks_out / f"{name}.png"
        write_mask(path, _draw_mask(item))
        row["mask"] = relative_path(path, folder)
        if progress is not None:
            progress(done, len(rows))
    frame.insert(1, "mask", [row["mask"] for row in rows])
    frame = frame.sort_values("file", ignore_index=True)
    frame.insert(4, "split", draw_splits(frame, shares, seed))
    return frame


def covid_chestxray_patients(manifest_rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Returns the patient and licence of each image of covid-chestxray-dataset, for `read_v7`.

    Args:
        manifest_rows: rows with the columns file, patient and license, as `read_covid_chestxray` returns
            them.

    Returns:
        Maps a file's name, without its folder, to (patient, licence).
    """
    names = [pathlib.PurePosixPath(file).name for file in manifest_rows["file"]]
    return dict(zip(names, zip(manifest_rows["patient"], manifest_rows["license"], strict=True), strict=True))


def _find_images(folders: Sequence[pathlib.Path], masks_out: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Returns the paths of images by their names, without masks of an earlier run."""
    found: dict[str, list[pathlib.Path]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise SourceNotFoundError(
                f"Images must be in a folder. Received: {folder}, which is not a folder. Check the path."
            )
        for path in sorted(filter(is_image_file, folder.rglob("*"))):
            if path.parent.resolve() != masks_out.resolve():
                found.setdefault(path.name, []).append(path)
    return found


def _image_of(names: Sequence[str], image_paths: Mapping[str, Sequence[pathlib.Path]]) -> pathlib.Path | None:
    """Returns the image with one of the names, or None."""
    paths = next((image_paths[name] for name in names if name in image_paths), None)
    if paths is None:
        return None
    others = [path for path in paths[1:] if not path.samefile(paths[0])]
    if others:
        raise SourceError(
            f"The name of an image must belong to a single file. Received: {paths[0]} and {others[0]}. "
            "Pass only the folder with the right one (--images)."
        )
    return paths[0]


def _read_item(path: pathlib.Path) -> _Item:
    try:
        content = parse_json(read_bytes(path).removeprefix(codecs.BOM_UTF8), {"type": "object"})
        if "item" in content:
            item = content["item"]
            slot = item["slots"][0]
            files = [file["file_name"] for file in slot.get("source_files", ()) if "file_name" in file]
            names, size = [item["name"], *files], (slot["height"], slot["width"])
        else:
            image = content["image"]
            names = [image["filename"], image.get("original_filename", image["filename"])]
            size = image["height"], image["width"]
        annotations = content["annotations"]
        lungs = [_polygon_paths(each) for each in annotations if each["name"].lower() == _LUNG]
        tags = [each["name"] for each in annotations if "tag" in each]
        height, width = (int(side) for side in size)
        if min(height, width) < 1 or height * width > MAX_PIXELS:
            raise ValueError(f"an image of {height} x {width} pixels")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise SourceError(
            "A Darwin JSON file must have `image` (1.0) or `item.slots` (2.0), with a name, height and "
            f"width, and `annotations` with polygons. Received: {path}: {type(error).__name__} {error}. "
            "Export it again."
        ) from error
    return _Item(names, height, width, lungs, tags)


def _polygon_paths(annotation: Mapping[str, Any]) -> list[np.ndarray]:
    """Returns an annotation's paths, int32 arrays (corners, 1, 2) of x and y, as OpenCV needs them."""
    polygon = annotation.get("polygon") or annotation["complex_polygon"]
    paths = polygon.get("paths") or [polygon["path"]]
    if paths and isinstance(paths[0][0], list):
        paths = paths[0]
    paths = [*paths, *polygon.get("additional_paths", ())]
    corners = [np.array([[[point["x"], point["y"]]] for point in path], float) for path in paths]
    if not all(path.size and (np.abs(path) < _MAX_COORDINATE).all() for path in corners):
        raise ValueError("a path without corners, or with a corner far outside the image")
    return [np.round(path).astype(np.int32) for path in corners]


def _draw_mask(item: _Item) -> np.ndarray:
    mask = np.zeros((item.height, item.width), np.uint8)
    for paths in item.lungs:
        # One call for all paths of a lung makes inner paths holes.
        cv2.fillPoly(mask, paths, 1)
    return mask


def _row(
    image: pathlib.Path, item: _Item, folder: pathlib.Path, patients: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    parsed = (parse_kermany_name(pathlib.PurePath(name).stem) for name in item.names)
    in_kermany = next(filter(None, parsed), None)
    known_patient = next((patients[name] for name in item.names if name in patients), None)
    label = "COVID-19" if "COVID-19" in item.tags else NOT_STATED
    patient, license_given = f"v7-{image.stem}", NOT_STATED
    if in_kermany:
        (label, patient), license_given = in_kermany, _LICENSE
    elif known_patient:
        patient, license_given = known_patient
    return {
        "file": relative_path(image, folder),
        "label": label,
        "patient": patient,
        "source": "v7",
        "license": _LICENSE if license_given == _LICENSE else f"{license_given}; masks {_LICENSE}",
        "finding": "; ".join(item.tags),
    }


def _check_images_once(frame: pd.DataFrame, folder: pathlib.Path) -> None:
    repeated = frame["file"][frame.duplicated("file")].tolist()
    if repeated:
        raise SourceError(
            f"Each image must have one JSON file. Received: {folder}, where {shorten(repeated)} has several. "
            "Keep the files of one release."
        )
