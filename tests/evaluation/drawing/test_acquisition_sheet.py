"""The sheet of changes of acquisition: what stands where, and the command that writes it."""

import cv2
import numpy as np

from semenet.cli.main import main
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.resized import ResizedImages
from semenet.data.transforms.acquisition_draw import change_acquisition
from semenet.data.transforms.augmentation import Augmentation
from semenet.evaluation.drawing.acquisition_sheet import acquisition_sheet

SIDE, HEADING, GAP = 40, 24, 4


def picture(sheet, line, column):
    top, left = HEADING + line * (SIDE + GAP), column * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def test_a_line_shows_an_image_each_change_alone_and_draws_of_all(phantoms):
    rows = read_manifest(phantoms).split("train")
    augmentation = Augmentation(acquisition=0.5, acquisition_changes=("tone", "jpeg"))
    sheet = acquisition_sheet(rows, augmentation, side=SIDE, count=3, seed=2)
    assert sheet.shape == (HEADING + 3 * (SIDE + GAP), (1 + 2 + 4) * (SIDE + GAP))
    last = len(rows) - 1
    image = ResizedImages(rows, (SIDE, SIDE))[last][0]
    np.testing.assert_array_equal(picture(sheet, 2, 0), image)
    jpeg = Augmentation(acquisition=1.0, acquisition_changes=("jpeg",))
    np.testing.assert_array_equal(picture(sheet, 2, 2), change_acquisition(image, jpeg, (0, 2, last)))
    together = change_acquisition(image, augmentation, (4, 2, last))
    np.testing.assert_array_equal(picture(sheet, 2, 6), together)


def test_the_command_writes_the_sheet_of_all_changes(phantoms, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    main(["data", "examples", str(phantoms), "--out", str(out), "--side", "40", "--count", "2"])
    assert capsys.readouterr().out.strip() == str(out)
    sheet = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(
        sheet,
        acquisition_sheet(
            read_manifest(phantoms).split("train"), Augmentation(acquisition=0.4), side=40, count=2
        ),
    )
