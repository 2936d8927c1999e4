"""Writes small folders with the layout of public data sets that tell findings: tables, names, no real image.

Headers and forms of cells are those of the published tables.
"""

import csv
import gzip
import io
import json
import pathlib
import warnings
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from dicom_reference import written
from source_folders import draw

# The header of 2017 ends with a comma, and so do its rows; that of 2020 does not, and its ages are numbers.
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
NIH_ROWS = (
    # name, findings, patient, age, sex, view
    ("00000001_000.png", "Cardiomegaly", "1", "058Y", "M", "PA"),
    ("00000001_001.png", "Cardiomegaly|Emphysema", "1", "058Y", "M", "PA"),
    ("00000002_000.png", "No Finding", "2", "081Y", "M", "PA"),
    ("00000003_000.png", "Pneumonia|Pleural_Thickening", "3", "074Y", "F", "AP"),
    ("00000004_000.png", "No Finding", "4", "412Y", "F", "PA"),
    ("00000005_000.png", "Pneumonia", "5", "007Y", "F", "PA"),
    ("00000006_000.png", "No Finding", "6", "011M", "M", "AP"),
)


def nih_folder(
    folder: pathlib.Path, rows: Sequence[Sequence[str]] = NIH_ROWS, edition: int = 2017
) -> pathlib.Path:
    """Writes a folder like ChestX-ray14's, with its images in two of the twelve folders."""
    end = "," if edition == 2017 else ""
    lines = [NIH_HEADER + end]
    for position, (name, findings, patient, age, sex, view) in enumerate(rows):
        age = age if edition == 2017 else age[:3].lstrip("0")
        lines.append(f"{name},{findings},000,{patient},{age},{sex},{view},2682,2749,0.143,0.143{end}")
        draw(folder / f"images_{1 + position % 2:03}" / "images" / name)
    table = "Data_Entry_2017.csv" if edition == 2017 else "Data_Entry_2017_v2020.csv"
    (folder / table).write_text("\n".join(lines) + "\n")
    names = [row[0] for row in rows]
    (folder / "test_list.txt").write_text("\n".join(names[:2]) + "\n")
    (folder / "train_val_list.txt").write_text("\n".join(names[2:]))
    return folder


RSNA_IMAGES = (
    # image, class, boxes, original image in ChestX-ray14
    ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", "No Lung Opacity / Not Normal", (), "00000013_005.png"),
    (
        "00436515-870c-4b36-a041-de91049b9ab4",
        "Lung Opacity",
        ((264, 152, 213, 379), (562, 152, 256, 453)),
        "00000013_006.png",
    ),
    ("00313ee0-9eaa-42f4-b0ab-c148ed3241cd", "Normal", (), "00000020_000.png"),
    ("00322d4d-1c29-4943-afc9-b6754be640eb", "Normal", (), "00000021_000.png"),
    ("00704310-78a8-4b38-8475-49f4573b2dbb", "Lung Opacity", ((323, 577, 160, 104),), "00000022_000.png"),
)


def rsna_folder(folder: pathlib.Path, mapping: bool = True) -> pathlib.Path:
    """Writes a folder like that of the RSNA Pneumonia Detection Challenge; both tables repeat rows."""
    labels, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number, (name, kind, boxes, _) in enumerate(RSNA_IMAGES):
        for box in boxes or ((),):
            cells = [f"{float(value)}" for value in box] or [""] * 4
            labels.append(",".join([name, *cells, str(int(bool(box)))]))
            classes.append(f"{name},{kind}")
        header = {"PatientID": name, "PatientAge": str(40 + number), "PatientSex": "FM"[number % 2]}
        dicom(
            folder / "stage_2_train_images" / f"{name}.dcm", ViewPosition=("PA", "AP")[number % 2], **header
        )
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    if mapping:
        entries = [
            {"subset_img_id": name, "img_id": nih, "orig_labels": []} for name, _, _, nih in RSNA_IMAGES
        ]
        (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(entries))
    return folder


SIIM_STUDIES = (
    # study, appearance (position of the 1), patient, images with their boxes
    ("00086460a852", 1, "p1", (("65761e66de9f", 2), ("7d1c3a9b2f10", 0))),
    ("000c9c05fd14", 0, "p2", (("51759b5579bc", 0),)),
    ("00292f8c37bd", 0, "p1", (("f6293b1c49e2", 0),)),
    ("005057b3f880", 3, "p3", (("3019399c31f4", 1),)),
    ("0051d9b12e72", 2, "", (("bb4b1da810f3", 0),)),
)


def siim_folder(folder: pathlib.Path) -> pathlib.Path:
    """Writes a folder like that of the SIIM-FISABIO-RSNA COVID-19 Detection challenge."""
    folder.mkdir(parents=True, exist_ok=True)
    appearances = "Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance"
    studies = [f"id,{appearances}"]
    with open(folder / "train_image_level.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "boxes", "label", "StudyInstanceUID"])
        for study, appearance, patient, images in SIIM_STUDIES:
            studies.append(",".join([f"{study}_study", *(str(int(n == appearance)) for n in range(4))]))
            for image, count in images:
                boxes = [
                    {"x": 789.28836, "y": 582.43035 + n, "width": 1026, "height": 1917.3}
                    for n in range(count)
                ]
                label = "opacity 1 789.28836 582.43035 1815.28836 2499.73" if boxes else "none 1 0 0 1 1"
                writer.writerow([f"{image}_image", str(boxes) if boxes else "", label, study])
                path = folder / "train" / study / f"{study[::-1]}" / f"{image}.dcm"
                dicom(path, PatientID=patient, PatientSex="M", ViewPosition="AP")
    (folder / "train_study_level.csv").write_text("\n".join(studies) + "\n")
    return folder


CHEXPERT_FINDINGS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,"
    "Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT_TRAIN = (
    # patient, study, view, sex, age, AP/PA, findings that are not empty
    ("00001", 1, "view1_frontal", "Female", "68", "AP", {"No Finding": "1.0", "Support Devices": "1.0"}),
    ("00002", 2, "view1_frontal", "Female", "87", "AP", {"Lung Opacity": "-1.0", "Pneumonia": "-1.0"}),
    ("00002", 1, "view2_lateral", "Female", "83", "", {"Pneumonia": "1.0"}),
    ("00003", 1, "view1_frontal", "Male", "41", "PA", {"Pneumonia": "1.0", "Edema": "0.0"}),
    ("00004", 1, "view1_frontal", "Unknown", "0", "PA", {"Edema": "1.0", "Pneumonia": "0.0"}),
)
CHEXPERT_VALID = (
    ("64541", 1, "view1_frontal", "Male", "73", "AP", dict.fromkeys(CHEXPERT_FINDINGS.split(","), "0.0")),
)


def chexpert_folder(
    folder: pathlib.Path, train: Iterable[tuple] = CHEXPERT_TRAIN, name: str = "CheXpert-v1.0-small"
) -> pathlib.Path:
    """Writes a folder like CheXpert-v1.0-small; the paths in its tables begin with its name."""
    for part, rows in (("train", train), ("valid", CHEXPERT_VALID)):
        lines = [f"Path,Sex,Age,Frontal/Lateral,AP/PA,{CHEXPERT_FINDINGS}"]
        for patient, study, view, sex, age, projection, findings in rows:
            path = f"{part}/patient{patient}/study{study}/{view}.jpg"
            side = "Frontal" if "frontal" in view else "Lateral"
            cells = [findings.get(finding, "") for finding in CHEXPERT_FINDINGS.split(",")]
            lines.append(",".join([f"{name}/{path}", sex, age, side, projection, *cells]))
            draw(folder / path)
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


PADCHEST_COLUMNS = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,"
    "Projection,MethodProjection,Pediatric,Modality_DICOM,ReportID,Report,MethodLabel,Labels,Localizations"
)
# name | folder | date | patient | birth | sex | projection | method | labels
PADCHEST_ROWS = [
    line.split("|")
    for line in """\
20536686640136348236148679891455886468_k6ga29.png|0|20140915|839860|1930.0|F|PA|Physician|\
['pulmonary fibrosis', ' pneumonia', '']
135803415504923515076821959678074435083_fzis7b.png|0|20150914|313572|1936.0|M|L|RNN_model|['normal']
135803415504923515076821959678074435083_fzis7d.png|0|20150914|313572|1936.0|M|PA|RNN_model|['normal']
113855343774216031107737439268243531979_3k951l.png|7|20150517|50783|1955|O|AP_horizontal|Physician|\
['unchanged', 'pleural effusion']
48809682527691790621732158411750204_abc123.png|7|20120101|60001||F|PA|RNN_model|['cardiomegaly']
216840111366964012819207061112010307142602253_04-014-084.png|49|20101103|70001|1940|F|PA|Physician|
excluded.png|49|20101103|70002|1940|F|PA|Physician|['exclude', 'pneumonia']
damaged_list.png|49|20101103|70003|1940|F|PA|Physician|['pneumonia
no_patient.png|49|20101103||1940|F|PA|Physician|['normal']""".splitlines()
]


def padchest_folder(folder: pathlib.Path, compressed: bool = False) -> pathlib.Path:
    """Writes a folder like PadChest's: images in numbered folders, and the table, also compressed."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(PADCHEST_COLUMNS.split(","))
    for number, row in enumerate(PADCHEST_ROWS):
        name, top, date, patient, birth, sex, projection, method, labels = row
        start = [number, name, top, date, f"study{number}", patient, birth, sex, "", projection]
        further = ["Manual review of DICOM fields", "No", "CR", number, "sin cambios, nota"]
        writer.writerow([*start, *further, method, labels, "[]"])
        draw(folder / top / name)
    path = folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    if compressed:
        with gzip.open(f"{path}.gz", "wt", encoding="utf-8") as target:
            target.write(stream.getvalue())
    else:
        path.write_text(stream.getvalue(), encoding="utf-8")
    return folder


VINDR_FINDINGS = "Aortic enlargement,Nodule/Mass,Pleural thickening,Pneumonia,Tuberculosis,{},No finding"
VINDR_TRAIN = {
    # image: what each of three radiologists saw
    "000434271f63a053c4128a0ba6352c7f": ("No finding", "No finding", "No finding"),
    "00053190460d56c53cc3e57321387478": ("Pneumonia", "Pneumonia|Nodule/Mass", "No finding"),
    "0005e8e3701dfb1dd93d53e2ff537b6e": ("Pneumonia", "No finding", "No finding"),
    "0006e0a85696f6bb578e84fafa9a5607": ("Pneumonia", "Pneumonia", "Pneumonia"),
}
VINDR_TEST = {
    "002a34c58c5b758217ed1f584ccbcfe9": "Pneumonia",
    "004f33259ee4aef671c2b95d54e4be68": "No finding",
}


def vindr_folder(folder: pathlib.Path, images: str = "dicom") -> pathlib.Path:
    """Writes a folder like VinDr-CXR's; its tables name the column of other diseases differently."""
    train, test = VINDR_FINDINGS.format("Other diseases"), VINDR_FINDINGS.format("Other disease")

    def cells(seen: str, names: str) -> list[str]:
        return [str(int(name in seen.split("|"))) for name in names.split(",")]

    lines = {"train": [f"image_id,rad_id,{train}"], "test": [f"image_id,{test}"]}
    for image, readers in VINDR_TRAIN.items():
        for number, seen in enumerate(readers):
            lines["train"].append(",".join([image, f"R{number + 8}", *cells(seen, train)]))
    for image, seen in VINDR_TEST.items():
        lines["test"].append(",".join([image, *cells(seen, test)]))
    for part, names in (("train", VINDR_TRAIN), ("test", VINDR_TEST)):
        for name in names:
            if images == "dicom":
                dicom(folder / part / f"{name}.dicom", PatientSex="F", PatientAge="061Y")
            else:
                draw(folder / part / f"{name}.png")
        path = folder / "annotations" / f"image_labels_{part}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines[part]) + "\n")
    return folder


HANNOVER_TABLE = """\
patient_id,image_id,sex,age,size,weight,admission_offset,icu_admission_offset,icu_release_offset,death_offset,\
modality,projection,crp_offset,crp_val
042f06a9,b343e657,m,,,,0,0.0,4.0,,CR,ap,0.0,5.0
042f06a9,c9280a30,m,,,,-2,-2.0,2.0,,CR,ap,0.0,38.0
0f2b9fbd,5f619d7e,m,,,,0,,,,DX,pa,0.0,11.0
14d9761b,a38e1877,f,,,,-16,,,,CR,ap,-1.0,-inf
88b33741,2c35005f,f,,,,23,,,,DX,pa,,
"""


def hannover_folder(folder: pathlib.Path, missing: Collection[str] = ()) -> pathlib.Path:
    """Writes a folder like covid-19-image-repository."""
    for line in HANNOVER_TABLE.splitlines()[1:]:
        name = line.split(",")[1]
        if name not in missing:
            draw(folder / "png" / f"{name}.png")
    (folder / "data.csv").write_text(HANNOVER_TABLE)
    return folder


def dicom(path: pathlib.Path, **attributes: str) -> pathlib.Path:
    """Writes a tiny DICOM file with these attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(path.name.encode())).integers(0, 4096, (12, 10), "uint16")
    with warnings.catch_warnings():
        # The published ages of RSNA's images have no unit, which the standard requires.
        warnings.simplefilter("ignore", UserWarning)
        path.write_bytes(written(pixels, **attributes))
    return path
