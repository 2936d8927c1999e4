"""Writes small folders with the layout of the public data sets: names, tables and masks, no real image."""

import csv
import json
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

KERMANY_FILES = (
    *(f"train/NORMAL/IM-{n:04}-0001.jpeg" for n in range(115, 135)),
    "train/NORMAL/NORMAL2-IM-0383-0001.jpeg",
    *(f"train/PNEUMONIA/person{n}_bacteria_{n + 1}.jpeg" for n in range(1, 21)),
    *(f"train/PNEUMONIA/person{n}_virus_{m}.jpeg" for n in range(81, 101) for m in (n, 500 + n)),
    "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4875.jpeg",
    *(f"test/NORMAL/IM-{n:04}-0001.jpeg" for n in range(1, 8)),
    *(f"test/PNEUMONIA/person{n}_bacteria_{m}.jpeg" for n in range(78, 84) for m in (n, 400 + n, 800 + n)),
    *(f"test/PNEUMONIA/person{n}_virus_{n}.jpeg" for n in range(1, 9)),
)

# The header of the repository's last edition, which ends with a comma, and that of its first edition.
COVID_HEADER = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,went_icu,in_icu,"
    "needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,"
    "lymphocyte_count,view,modality,date,location,folder,filename,doi,url,license,clinical_notes,other_notes,"
)
FIRST_COVID_HEADER = (
    "Patientid,offset,sex,age,finding,survival,view,date,location,filename,doi, url,license,notes"
)
COVID_ROWS = (
    # patientid, finding, view, modality, folder, filename
    ("2", "Pneumonia/Viral/COVID-19", "PA", "X-ray", "images", "auntminnie-a.jpeg"),
    ("2", "Pneumonia/Viral/COVID-19", "AP Supine", "X-ray", "images", "auntminnie-b.jpeg"),
    ("4", "Pneumonia/Viral/COVID-19", "AP", "X-ray", "images", "nejmc2001573_f1a.jpeg"),
    ("311a", "Pneumonia/Viral/COVID-19", "AP erect", "X-ray", "images", "crad-a.PNG"),
    ("311b", "Pneumonia/Viral/COVID-19", "AP semi erect", "X-ray", "images", "crad-b.png"),
    ("13", "Pneumonia/Viral/COVID-19", "L", "X-ray", "images", "nejmoa2001191_f1-L.jpeg"),
    ("17", "Pneumonia/Viral/COVID-19", "Axial", "CT", "images", "jkms-d.jpg"),
    ("20", "Pneumonia/Viral/COVID-19", "Coronal", "CT", "volumes", "coronacases_001.nii.gz"),
    ("3", "Pneumonia/Viral/SARS", "AP", "X-ray", "images", "SARS-day0.jpeg"),
    ("5", "Pneumonia", "PA", "X-ray", "images", "ARDSSevere.png"),
    ("6", "No Finding", "PA", "X-ray", "images", "normal-1.jpg"),
    ("7", "Pneumonia/Bacterial/Klebsiella", "PA", "X-ray", "images", "klebsiella.jpg"),
    ("8", "todo", "PA", "X-ray", "images", "todo.jpg"),
    ("9", "Unknown", "PA", "X-ray", "images", "unknown.jpg"),
    ("10", "", "PA", "X-ray", "images", "empty.jpg"),
)


def draw(path: pathlib.Path, height: int = 12, width: int = 10, value: int | None = None) -> pathlib.Path:
    """Writes a grey image: of one value, or of noise that depends only on the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if value is None:
        image = np.random.default_rng(list(path.name.encode())).integers(0, 256, (height, width), "uint8")
    else:
        image = np.full((height, width), value, np.uint8)
    assert cv2.imwrite(str(path), image)
    return path


def kermany_folder(folder: pathlib.Path, files: Iterable[str] = KERMANY_FILES) -> pathlib.Path:
    """Writes a folder like chest_xray of Kaggle's edition."""
    for name in files:
        draw(folder / name)
    return folder


def covid_folder(
    folder: pathlib.Path,
    rows: Iterable[tuple[str, ...]] = COVID_ROWS,
    header: str = COVID_HEADER,
    missing: Collection[str] = (),
    encoding: str = "utf-8",
) -> pathlib.Path:
    """Writes a folder like covid-chestxray-dataset: metadata.csv of an edition, and images except some."""
    columns = header.split(",")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "metadata.csv", "w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for patient, finding, view, modality, image_folder, name in rows:
            cells = {
                "patientid": patient,
                "finding": finding,
                "view": view,
                "modality": modality,
                "folder": image_folder,
                "filename": name,
                "sex": "F",
                "age": "61",
                "offset": "3",
                "location": "Hôpital, Genève",
                "doi": "10.1000/1",
                "url": "https://example.org/1",
                "license": "CC BY-NC-SA" if patient == "2" else "",
            }
            writer.writerow([cells.get(column.strip().lower(), "") for column in columns])
            path = folder / image_folder / name
            if path.name.endswith(".gz"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            elif name not in missing:
                draw(path)
    return folder


def montgomery_folder(
    folder: pathlib.Path, normal: int = 5, sick: int = 4, size: tuple[int, int] = (16, 20)
) -> pathlib.Path:
    """Writes a folder like MontgomerySet; the patient's left lung is on the right, as in a radiograph."""
    for number in range(1, normal + sick + 1):
        name = f"MCUCXR_{number:04}_{int(number > normal)}"
        draw(folder / "CXR_png" / f"{name}.png", *size)
        for side, columns in {"left": slice(12, 18), "right": slice(2, 8)}.items():
            mask = np.zeros(size, np.uint8)
            mask[4:12, columns] = 255
            path = folder / "ManualMask" / f"{side}Mask" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), mask)
        reading = folder / "ClinicalReadings" / f"{name}.txt"
        reading.parent.mkdir(exist_ok=True)
        reading.write_text(f"Patient's Sex: {'FM'[number % 2]}\nPatient's Age: {20 + number:03}Y\nnormal\n")
    return folder


def shenzhen_folder(
    folder: pathlib.Path,
    masks: pathlib.Path | None = None,
    normal: int = 5,
    sick: int = 4,
    without: Collection[str] = ("CHNCXR_0001_0",),
) -> pathlib.Path:
    """Writes a folder like ChinaSet_AllFiles, and its masks except those of the images in `without`."""
    readings = ("male 45yrs", "Female, 9 months", "femal 32yrs", "male 64days", "Female 28yrs")
    for number in range(1, normal + sick + 1):
        name = f"CHNCXR_{number:04}_{int(number > normal)}"
        draw(folder / "CXR_png" / f"{name}.png")
        reading = folder / "ClinicalReadings" / f"{name}.txt"
        reading.parent.mkdir(exist_ok=True)
        reading.write_text(f"{readings[(number - 1) % len(readings)]}\r\nnormal\r\n")
        if masks is not None and name not in without:
            draw(masks / f"{name}_mask.png", value=255)
    return folder


def square(left: int, top: int, right: int, bottom: int) -> list[dict[str, float]]:
    """Returns a polygon's path in Darwin's form."""
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [{"x": float(x), "y": float(y)} for x, y in corners]


def darwin_1(
    name: str,
    paths: Sequence[Sequence[Any]],
    *,
    original: str | None = None,
    tags: Iterable[str] = (),
    size: tuple[int, int] = (40, 60),
) -> dict[str, Any]:
    """Returns a Darwin JSON 1.0 export; `paths` has one list per lung: `path`, then `additional_paths`."""
    lungs = [{"name": "Lung", "polygon": {"path": first, "additional_paths": rest}} for first, *rest in paths]
    return {
        "dataset": "covid-19-chest-x-ray-dataset",
        "image": {
            "filename": name,
            "original_filename": original or name,
            "height": size[0],
            "width": size[1],
            "url": "https://darwin.v7labs.com/image",
        },
        "annotations": [*lungs, *({"name": tag, "tag": {}} for tag in tags)],
    }


def darwin_2(
    name: str, paths: Sequence[Sequence[Any]], *, tags: Iterable[str] = (), size: tuple[int, int] = (40, 60)
) -> dict[str, Any]:
    """Returns a Darwin JSON 2.0 export; `paths` has one list per lung."""
    slot = {
        "type": "image",
        "slot_name": "0",
        "height": size[0],
        "width": size[1],
        "source_files": [{"file_name": name, "url": "https://darwin.v7labs.com/image"}],
    }
    lungs = [{"name": "Lung", "slot_names": ["0"], "polygon": {"paths": each}} for each in paths]
    return {
        "version": "2.0",
        "item": {"name": name, "path": "/", "slots": [slot]},
        "annotations": [*lungs, *({"name": tag, "tag": {}} for tag in tags)],
    }


def v7_folder(folder: pathlib.Path, items: Mapping[str, dict[str, Any]] | None = None) -> pathlib.Path:
    """Writes V7's images and JSON files; `items` maps a JSON file's stem to its content."""
    if items is None:
        lungs = [[square(5, 5, 20, 30)], [square(35, 5, 50, 30), square(40, 10, 45, 20)]]
        items = {
            "a": darwin_1("person81_virus_81.jpeg", lungs, tags=("Viral Pneumonia",)),
            "b": darwin_1("1676192.png", lungs, original="auntminnie-a.jpeg", tags=("COVID-19",)),
            "c": darwin_2("IM-0115-0001.jpeg", lungs),
            "d": darwin_2("nejmc2001573_f1a.jpeg", lungs, tags=("COVID-19", "Viral Pneumonia")),
            "e": darwin_1("nejmoa2001191_f1-L.jpeg", [], tags=("COVID-19",)),
        }
    for stem, content in items.items():
        path = folder / "releases" / "all-images" / "annotations" / f"{stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        image = content["image"]["filename"] if "image" in content else content["item"]["name"]
        draw(folder / "images" / image, 40, 60)
    return folder


COVIDX_LISTS = {
    "train_COVIDx8B.txt": (
        *(f"{n} cohen-{n}.jpeg positive cohen" for n in range(2, 12)),
        "419639-000025 MIDRC-RICORD-1C-419639-000025-1-0.png positive ricord",
        *(f"0000{n}aa 0000{n}aa.png negative rsna" for n in range(12)),
        *(f"COVID {n} COVID({n}).png positive sirm" for n in (50, 51)),
    ),
    "test_COVIDx8B.txt": (
        "419639-000025 MIDRC-RICORD-1C-419639-000025-2-0.png positive ricord",
        "47c78742-4998 47c78742-4998.png negative rsna",
    ),
}


def covidx_folder(folder: pathlib.Path, lists: Mapping[str, Iterable[str]] | None = None) -> pathlib.Path:
    """Writes COVIDx: lists by their names, and the listed images."""
    for name, lines in (COVIDX_LISTS if lists is None else lists).items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n")
        for line in filter(str.strip, lines):
            image = next(cell for cell in line.split() if "." in cell)
            draw(folder / name.split("_")[0] / image)
    return folder


def class_tree(folder: pathlib.Path, names: Iterable[str]) -> pathlib.Path:
    """Writes images with the given relative paths."""
    for name in names:
        draw(folder / name)
    return folder
