"""V7's lung polygons (Darwin JSON) to masks and the rows of a manifest."""

import json
import pathlib

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.reading import MAX_PIXELS
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.kermany import (
    NOT_STATED,
    SourceError,
    draw_splits,
    is_image,
    kermany_name,
    relative,
    tell,
)
from semenet.data.sources.nlm_lungs import write_mask
from semenet.storage.atomic import output_folder, unique_stems

_LUNG = "lung"
# Pixels, well inside what OpenCV can draw to; not-a-number is not below it either.
_FURTHEST_CORNER = 1e6
_LICENSE = "CC BY 4.0"


def v7(folder, masks, *, images=(), patients=None, progress=None, shares=SHARES, seed=0):
    """Turns V7's lung annotations into masks and the rows of a manifest.

    A JSON file is of Darwin 1.0 (`image`, polygons of one path and `additional_paths`) or 2.0 (`item.slots`,
    polygons of `paths`). Within one annotation the paths fill by the even-odd rule, so that an inner path
    is a hole; the annotations named "Lung" are united. Corners are rounded to whole pixels (cv2.fillPoly),
    the outline is inside. JSON files without a lung (lateral views, CT slices) and those whose image is not
    there are left out and counted in a `SourceWarning`. The masks include what lies behind the heart.

    The patient is Kermany's where the image has one of his names, that of `patients` where it is listed
    there, and otherwise the file itself: two images of one such patient may then come to stand in two
    splits.

    Reference: https://github.com/v7labs/covid-19-xray-dataset; annotations CC BY 4.0.

    Args:
        folder: the folder with the JSON files, at any depth.
        masks: folder to write the masks into, one PNG an image, 0 outside and 255 inside; it is made.
        images: folders with the images, at any depth; empty for `folder`. An image is found by the name under
            which Darwin keeps it, or by its original name.
        patients: dict of an image's file name to (patient, licence), such as `covid_patients` reads; None
            for none.
        progress: None, or a function of the number of masks drawn and of all.
        shares: dict of split names to shares that sum to 1.
        seed: int, of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` and `mask` (relative to `folder`), `label` (Kermany's,
        or "COVID-19" where that is a tag, or "not stated"), `patient`, `split`, `source`, `license` and
        `finding` (the tags, joined by "; ").

    Raises:
        SourceError: no JSON file has a lung and an image; a JSON file is damaged or of another form; an
            image's name stands for two different files.
    """
    folder = pathlib.Path(folder)
    paths = sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
    if not paths:
        raise SourceError(
            f"V7's folder has Darwin JSON files, one an image. Received: {folder}, where there are none. "
            "Download the annotations as Darwin JSON, and unpack them."
        )
    masks = pathlib.Path(masks)
    found = _images([pathlib.Path(place) for place in images] or [folder], masks)
    rows, drawings, without_lung, without_image = [], [], [], []
    for path in paths:
        item = _item(path)
        if not item["lungs"]:
            without_lung.append(path.name)
            continue
        image = _image(item["names"], found)
        if image is None:
            without_image.append(item["names"][-1])
            continue
        drawings.append((image, item))
        rows.append(_row(image, item, folder, patients or {}))
    if not rows:
        raise SourceError(
            "At least one JSON file must have a lung, and its image be there. "
            f"Received: {folder} with {len(paths)} JSON files, {len(without_lung)} without a lung, "
            f"{len(without_image)} without their image ({shorten(without_image)}). Name the images' folders "
            "(--images)."
        )
    for reason, names in (("has no lung", without_lung), ("has no image", without_image)):
        if names:
            tell(
                f"V7: {len(names)} of {len(paths)} JSON files are left out, since each {reason}: "
                f"{shorten(names)}."
            )
    frame = pd.DataFrame(rows)
    _check_images_once(frame, folder)
    masks = output_folder(masks)
    names = unique_stems([image for image, _ in drawings])
    for done, (row, name, (_, item)) in enumerate(zip(rows, names, drawings, strict=True), start=1):
        path = masks / f"{name}.png"
        write_mask(path, _drawn(item))
        row["mask"] = relative(path, folder)
        if progress is not None:
            progress(done, len(rows))
    frame.insert(1, "mask", [row["mask"] for row in rows])
    frame = frame.sort_values("file", ignore_index=True)
    frame.insert(4, "split", draw_splits(frame, shares, seed))
    return frame


def covid_patients(manifest_rows):
    """Which patient and licence an image of covid-chestxray-dataset has, for `v7`.

    Args:
        manifest_rows: DataFrame with the columns file, patient and license, as `covid_chestxray` gives it.

    Returns:
        dict of a file's name, without its folder, to (patient, licence).
    """
    names = [pathlib.PurePosixPath(file).name for file in manifest_rows["file"]]
    return dict(zip(names, zip(manifest_rows["patient"], manifest_rows["license"], strict=True), strict=True))


def _images(places, masks):
    """The images' paths by their names; masks of an earlier run are none."""
    found = {}
    for place in places:
        if not place.is_dir():
            raise SourceError(f"Images lie in a folder. Received: {place}, which is none. Check the path.")
        for path in sorted(filter(is_image, place.rglob("*"))):
            if path.parent.resolve() != masks.resolve():
                found.setdefault(path.name, []).append(path)
    return found


def _image(names, found):
    """The image of one of the names, or None."""
    paths = next((found[name] for name in names if name in found), [None])
    others = [path for path in paths[1:] if not path.samefile(paths[0])]
    if others:
        raise SourceError(
            f"An image is found by its name, which must stand for one file. Received: {paths[0]} and "
            f"{others[0]}. Name only the folder with the right one (--images)."
        )
    return paths[0]


def _item(path):
    """What is needed of a JSON file: its image's names, height, width, lungs (lists of paths) and tags."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
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
        lungs = [_paths(each) for each in annotations if each["name"].lower() == _LUNG]
        tags = [each["name"] for each in annotations if "tag" in each]
        height, width = (int(side) for side in size)
        if min(height, width) < 1 or height * width > MAX_PIXELS:
            raise ValueError(f"an image of {height} x {width} pixels")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise SourceError(
            "A Darwin JSON file has `image` (1.0) or `item.slots` (2.0), with a name, height and width, and "
            f"`annotations` with polygons. Received: {path}: {type(error).__name__} {error}. Export it again."
        ) from error
    return {"path": path, "names": names, "height": height, "width": width, "lungs": lungs, "tags": tags}


def _paths(annotation):
    """An annotation's paths, each an int32 array (corners, 1, 2) of x and y, the form of OpenCV."""
    polygon = annotation.get("polygon") or annotation["complex_polygon"]
    paths = polygon.get("paths") or [polygon["path"]]
    if paths and isinstance(paths[0][0], list):
        paths = paths[0]
    paths = [*paths, *polygon.get("additional_paths", ())]
    corners = [np.array([[[point["x"], point["y"]]] for point in path], float) for path in paths]
    if not all(path.size and (np.abs(path) < _FURTHEST_CORNER).all() for path in corners):
        raise ValueError("a path without corners, or with one that is no place near the image")
    return [np.round(path).astype(np.int32) for path in corners]


def _drawn(item):
    mask = np.zeros((item["height"], item["width"]), np.uint8)
    for paths in item["lungs"]:
        # All paths of one lung in one call: that makes an inner path a hole.
        cv2.fillPoly(mask, paths, 1)
    return mask


def _row(image, item, folder, patients):
    kermanys = next(filter(None, (kermany_name(pathlib.PurePath(name).stem) for name in item["names"])), None)
    others = next((patients[name] for name in item["names"] if name in patients), None)
    label = "COVID-19" if "COVID-19" in item["tags"] else NOT_STATED
    patient, license_given = f"v7-{image.stem}", NOT_STATED
    if kermanys:
        (label, patient), license_given = kermanys, _LICENSE
    elif others:
        patient, license_given = others
    return {
        "file": relative(image, folder),
        "label": label,
        "patient": patient,
        "source": "v7",
        "license": _LICENSE if license_given == _LICENSE else f"{license_given}; masks {_LICENSE}",
        "finding": "; ".join(item["tags"]),
    }


def _check_images_once(frame, folder):
    repeated = frame["file"][frame.duplicated("file")].tolist()
    if repeated:
        raise SourceError(
            f"An image must have one JSON file. Received: {folder}, where {shorten(repeated)} has several. "
            "Keep those of one release."
        )
