"""Images that TensorBoard shows of a run: the first inputs, and confusion matrices."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

SHEET_IMAGES = 16
# Small, because the sheet only has to show whether an augmentation went wrong.
_THUMBNAIL = 160
_OUTLINE_COLOUR = (230, 159, 0)


def input_sheet(images: np.ndarray, targets: np.ndarray, class_names: Sequence[str]) -> bytes:
    """Draws up to 16 inputs of a network: images with their labels, or with the outlines of their masks.

    Args:
        images: uint8 `(N, H, W, C)` in [0, 255].
        targets: float `(N, K)`, 1 for each possible class, or masks `(N, H, W, 1)` of 0 and 1.
        class_names: the K class names.

    Returns:
        The content of a PNG file.
    """
    masks = targets if targets.ndim == 4 else [None] * len(images)
    shown = [_thumbnail(image, mask) for image, mask in zip(images[:SHEET_IMAGES], masks, strict=False)]
    columns = int(np.ceil(np.sqrt(len(shown))))
    rows = -(-len(shown) // columns)
    sheet = np.full((rows, columns, _THUMBNAIL, _THUMBNAIL, 3), 255, np.uint8)
    for index, picture in enumerate(shown):
        sheet[index // columns, index % columns] = picture
    sheet = sheet.swapaxes(1, 2).reshape(rows * _THUMBNAIL, columns * _THUMBNAIL, 3)
    figure = Figure(figsize=(sheet.shape[1] / 100, sheet.shape[0] / 100), dpi=100)
    figure.figimage(sheet)
    if targets.ndim == 2:
        for index in range(len(shown)):
            # matplotlib counts pixels from the lower left corner.
            x, y = index % columns * _THUMBNAIL + 4, sheet.shape[0] - index // columns * _THUMBNAIL - 4
            text = "|".join(
                name for name, value in zip(class_names, targets[index], strict=True) if value > 0
            )
            box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
            figure.text(
                x / sheet.shape[1],
                y / sheet.shape[0],
                text,
                color="white",
                fontsize=9,
                verticalalignment="top",
                bbox=box,
                # A class name with dollar signs is no formula.
                parse_math=False,
            )
    return _png(figure)


def confusion_sheet(matrix: np.ndarray, class_names: Sequence[str]) -> bytes:
    """Draws a confusion matrix, with counts and their share of each row.

    Args:
        matrix: int `(K, K)`, one row for each true class.
        class_names: the K class names.

    Returns:
        The content of a PNG file.
    """
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(3.5, 0.9 * len(class_names) + 1)
    figure = Figure(figsize=(side + 0.4, side), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel="Predicted", ylabel="True")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        text = f"{matrix[row, column]}\n{shares[row, column]:.0%}"
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(class_names)), class_names, parse_math=False)
    axes.set_yticks(range(len(class_names)), class_names, parse_math=False)
    return _png(figure)


def _thumbnail(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    picture = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    picture = cv2.resize(picture, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    if mask is None:
        return picture
    mask = cv2.resize(
        mask[..., 0].astype(np.uint8), (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_NEAREST
    )
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture, outlines, -1, _OUTLINE_COLOUR, 1)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
