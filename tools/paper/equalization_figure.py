"""Draws the paper's figure 7 for a radiograph: original, equalised (HE) and CLAHE, with histograms.

Usage: python tools/paper/equalization_figure.py IMAGE --out FOLDER [--clip-limit 2] [--tiles 8 8]

Writes equalization.png and .pdf. The image is read and processed by the same functions as in training, at
its original size.
"""

import pathlib
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure

from semenet.cli.recipe import report_errors
from semenet.data.images.reading import read_image
from semenet.data.transforms.host import clahe, equalize
from semenet.errors import SemenetError
from semenet.storage.atomic import output_folder, replacing


def main(
    image: Annotated[pathlib.Path, tyro.conf.arg(metavar="IMAGE"), tyro.conf.Positional],
    out: pathlib.Path,
    clip_limit: float = 2.0,
    tiles: tuple[int, int] = (8, 8),
) -> None:
    """Draws the figure.

    Args:
        image: A radiograph: PNG, JPEG, TIFF, BMP or DICOM.
        out: Folder to write into.
        clip_limit: Limit of CLAHE's histogram bins, as a multiple of a flat histogram's bin; 0 for no limit.
        tiles: Number of CLAHE tiles, horizontally and vertically.
    """
    if clip_limit < 0 or min(tiles) < 1:
        raise SemenetError(
            "CLAHE needs a clip limit of 0 or more and at least one tile in each direction. "
            f"Received: --clip-limit {clip_limit}, --tiles {tiles[0]} {tiles[1]}. Usual values: 2 and 8 8."
        )
    output_folder(out)
    figure = draw(read_image(image), clip_limit, tiles)
    for suffix in (".png", ".pdf"):
        with replacing(out / f"equalization{suffix}") as temporary:
            figure.savefig(temporary, dpi=200)
    print(f"{out / 'equalization'}.png and .pdf")


def draw(image, clip_limit=2.0, tiles=(8, 8)):
    """Draws three images above their histograms.

    Args:
        image: uint8 `(height, width)`, values in [0, 255].
        clip_limit: as for `semenet.data.transforms.host.clahe`.
        tiles: as for `semenet.data.transforms.host.clahe`.

    Returns:
        Figure.
    """
    panels = {
        "(a) original": image,
        "(b) histogram equalisation (HE)": equalize(image),
        f"(c) CLAHE, clip limit {clip_limit:g}, {tiles[0]} x {tiles[1]} tiles": clahe(
            image, clip_limit, tiles
        ),
    }
    width, height = 3.5, 3.5 * min(max(image.shape[0] / image.shape[1], 0.5), 2)
    figure = Figure(figsize=(3 * width, height + 2.2), layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)
    grid = figure.subplots(2, 3, sharex="row", sharey="row", height_ratios=(height, 1.6))
    # Black borders make one level dominate; the axis is limited so that the other levels stay visible.
    top = 1.25 * max(np.quantile(level[level > 0], 0.98) for level in map(shares, panels.values()))
    for (title, picture), above, below in zip(panels.items(), *grid, strict=True):
        above.imshow(picture, cmap="gray", vmin=0, vmax=255)
        above.set_title(title, fontsize="medium")
        above.set_axis_off()
        share = shares(picture)
        below.stairs(100 * share, np.arange(257) - 0.5, fill=True, color="0.25")
        beyond = [f"{level}: {share[level]:.1%}" for level in np.flatnonzero(share > top)]
        if beyond:
            text = f"beyond the axis: {', '.join(beyond[:3])}{' ...' if len(beyond) > 3 else ''}"
            below.set_title(text, fontsize="x-small", loc="left", color="0.4")
        below.set_xlabel("Grey level")
        below.spines[["top", "right"]].set_visible(False)
    below.set(xlim=(-0.5, 255.5), xticks=(0, 64, 128, 192, 255), ylim=(0, 100 * top))
    grid[1, 0].set_ylabel("Share of pixels, %")
    return figure


def shares(image):
    """Returns the share of pixels at each grey level: float64 `(256,)` with sum 1."""
    return np.bincount(image.ravel(), minlength=256) / image.size


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
