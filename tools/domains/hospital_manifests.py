"""Writes the manifests of the networks ENTRY:hospitals, from folders of several hospitals.

Usage: for name in dataset1 dataset1_hires nih hannover articles dataset2; do
           semenet predict unet:lung DATA/$name/images --out MASKS/$name.csv; done
       python tools/domains/hospital_manifests.py DATA MASKS OUT

DATA has a folder with images and manifest.csv for each of these names; docs/data.md describes them, and
`semenet data` has a reader for each public set. MASKS has the tables of predicted lung masks.

OUT/stage1.csv has the classes normal, bacteria and virus. Pneumonia of an unknown organism is labelled
bacteria|virus, and COVID-19 is a virus. OUT/stage2.csv has COVID-19 and
other_pneumonia. OUT/sources.csv has normal, pneumonia and COVID-19, for networks that are to be tried in
sources that they never saw (tools/domains/left_out_sources.py): a quarter of the children's patients, and
all adults.

The rows of val become the split test, which nothing is chosen on. A tenth of the patients of train, drawn by
a hash of their identifier, becomes val: the epoch and the temperature are chosen on it.
"""

import collections
import csv
import hashlib
import pathlib
from collections.abc import Iterator

import tyro

COLUMNS = ("file", "mask", "label", "patient", "split", "source", "age")
FOLDERS = ("dataset1", "dataset1_hires", "nih", "hannover", "articles", "dataset2")
VAL_PERCENT = 10
# Labels of dataset2/other_findings.csv in stage 1; findings that are not listed are left out.
FINDINGS = {
    "No Finding": "normal",
    "Pneumonia": "bacteria|virus",
    "Influenza": "virus",
    "Streptococcus": "bacteria",
    "Klebsiella": "bacteria",
    "Mycoplasma Bacterial Pneumonia": "bacteria",
    "Bacterial": "bacteria",
    "Chlamydophila": "bacteria",
    "Legionella": "bacteria",
}
CHILDREN_PERCENT = 25
COVID_FOLDERS = ("hannover", "articles", "dataset2")

Row = dict[str, str]


def read_rows(path: pathlib.Path) -> list[Row]:
    """Returns the rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_masks(folder: pathlib.Path) -> dict[pathlib.Path, str]:
    """Returns the mask of each image, from the tables that `semenet predict unet:lung` wrote."""
    masks = {}
    for name in FOLDERS:
        table = folder / f"{name}.csv"
        for row in read_rows(table):
            masks[(folder / row["file"]).resolve()] = str((folder / row["mask"]).resolve())
    return masks


def split_of(row: Row) -> str:
    """Returns the split of a row: test for those that were held back, else val or train by the patient."""
    if row["split"] == "val":
        return "test"
    return "val" if draw(row) < VAL_PERCENT else "train"


def draw(row: Row, purpose: str = "") -> int:
    """Returns a number from 0 to 99 that a patient always has, for each purpose another one."""
    digest = hashlib.sha256((purpose + row["source"] + row["patient"]).encode()).hexdigest()
    return int(digest, 16) % 100


def labelled(
    data: pathlib.Path,
    masks: dict[pathlib.Path, str],
    name: str,
    labels: dict[str, str],
    column: str = "label",
) -> Iterator[Row]:
    """Yields the rows of one table whose value in a column has a label."""
    table = data / name
    for row in read_rows(table):
        # Twins of images that are held back elsewhere are in the split reserve.
        if row["split"] not in ("train", "val") or row[column] not in labels:
            continue
        image = (table.parent / row["file"]).resolve()
        if image in masks:
            yield {
                "file": str(image),
                "mask": masks[image],
                "label": labels[row[column]],
                "patient": row["patient"],
                "split": split_of(row),
                "source": row["source"],
                "age": row.get("age", ""),
            }


def stage1(data: pathlib.Path, masks: dict[pathlib.Path, str]) -> Iterator[Row]:
    """Yields the rows of normal, bacteria and virus."""
    same = {name: name for name in ("normal", "bacteria", "virus")}
    yield from labelled(data, masks, "dataset1/manifest.csv", same)
    adults = {"normal": "normal", "pneumonia": "bacteria|virus"}
    yield from labelled(data, masks, "nih/manifest.csv", adults)
    for folder in COVID_FOLDERS:
        yield from labelled(data, masks, f"{folder}/manifest.csv", {"COVID-19": "virus"})
    yield from labelled(data, masks, "dataset2/other_findings.csv", FINDINGS, "finding")


def stage2(data: pathlib.Path, masks: dict[pathlib.Path, str]) -> Iterator[Row]:
    """Yields the rows of COVID-19 and of other pneumonia."""
    children = {"bacteria": "other_pneumonia", "virus": "other_pneumonia"}
    yield from labelled(data, masks, "dataset1_hires/manifest.csv", children)
    yield from labelled(data, masks, "nih/manifest.csv", {"pneumonia": "other_pneumonia"})
    for folder in COVID_FOLDERS:
        yield from labelled(data, masks, f"{folder}/manifest.csv", {"COVID-19": "COVID-19"})
    yield from labelled(data, masks, "dataset2/other_findings.csv", {"other": "other_pneumonia"})


def sources(data: pathlib.Path, masks: dict[pathlib.Path, str]) -> Iterator[Row]:
    """Yields the rows of normal, pneumonia and COVID-19, with a quarter of the children."""
    children = {"normal": "normal", "bacteria": "pneumonia", "virus": "pneumonia"}
    for row in labelled(data, masks, "dataset1/manifest.csv", children):
        if draw(row, "share") < CHILDREN_PERCENT:
            yield row
    yield from labelled(data, masks, "nih/manifest.csv", {name: name for name in ("normal", "pneumonia")})
    findings = {name: label if label == "normal" else "pneumonia" for name, label in FINDINGS.items()}
    yield from labelled(data, masks, "dataset2/other_findings.csv", findings, "finding")
    for folder in COVID_FOLDERS:
        yield from labelled(data, masks, f"{folder}/manifest.csv", {"COVID-19": "COVID-19"})


def main(
    data: tyro.conf.Positional[pathlib.Path],
    masks: tyro.conf.Positional[pathlib.Path],
    out: tyro.conf.Positional[pathlib.Path],
) -> None:
    """Writes the manifests, and prints the images of each source, split and label."""
    out.mkdir(parents=True, exist_ok=True)
    known = read_masks(masks)
    for kind in (stage1, stage2, sources):
        name, rows = kind.__name__, list(kind(data, known))
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        print(out / f"{name}.csv")
        counts = collections.Counter((row["source"], row["split"], row["label"]) for row in rows)
        for (source, split, label), count in sorted(counts.items()):
            print(f"  {source}, {split}, {label}: {count}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
