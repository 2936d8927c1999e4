"""Prints the receptive field of each network's last feature map: derived, measured, and effective.

Usage: python tools/paper/receptive_fields.py [ENTRY ...] [--run RUN] [--out FOLDER]

For each entry: the receptive field by the formula of the paper's section 3.1, and the rows that the middle
cell of `features` depends on, derived from the graph and measured by the gradient of a linear copy. (The copy
has an eighth of the channels, which does not change the field.) The exit status is 1 if the two differ. The
gates of squeeze-and-excitation are constant. In the U-Net the field depends on the position of the cell,
because of the transposed convolutions; the largest is shown. With --run, the effective field of a trained
network: the square with 95 % of the gradient's energy. With --out, figure 5 (b) and (c).
"""

import os
import pathlib
import sys
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

THIN = 32


def main(
    entries: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    run: pathlib.Path | None = None,
    images: tuple[pathlib.Path, ...] = (),
    out: pathlib.Path | None = None,
    depth: float = 1.0,
) -> None:
    """Prints the table and writes the figure.

    Args:
        entries: Entries of the zoo. None: all of them, or with --run only the run.
        run: A trained run, a folder or .keras file, whose effective field is measured.
        images: Radiographs for the measurement and the figure. None: synthetic ones.
        out: Folder for figure5.png and figure5.pdf.
        depth: Scales the number of layers of each stage, for a quick trial.
    """
    from semenet.models.entries import CATALOG, find_entry

    names = entries or (() if run else tuple(CATALOG))
    drawn, wrong = {}, []
    rows = [row_of(name, find_entry(name), depth, drawn, wrong) for name in names]
    if rows:
        print(pd.DataFrame(rows).to_string(index=False))
    if run is not None:
        drawn = {}
        print_run(run, images, drawn)
    if out is not None:
        write_figure(drawn, images, out)
    if wrong:
        sys.exit(f"The measured rows differ from the derived rows for {', '.join(wrong)}.")


def row_of(name, entry, depth, drawn, wrong):
    """Returns an entry's row of the table as a dict; adds its field to `drawn` and errors to `wrong`."""
    from effective_field import measured_field

    import semenet
    from semenet.models.receptive_fields import cell_field, receptive_field

    sides = (64, 64) if entry.head == "flatten" else (None, None)
    model = semenet.build(name, input_shape=(*sides, 1), width=0.125, depth=depth)
    own = receptive_field(model, input_size=(entry.input_size, entry.input_size))
    # Tall enough for the whole field of the middle cell, and narrow for speed.
    tall = (32 * (own.size[0] // 32 + 4), THIN)
    field = receptive_field(model, input_size=tall)
    cell = tuple(count // 2 for count in field.cells)
    (top, bottom), _ = cell_field(model, "features", cell, tall)
    measured, _ = measured_field(model, "features", cell, tall)
    if measured != (top, bottom):
        wrong.append(name)
    # At the larger of the paper's two input sizes the field ends inside the image.
    shown = drawn.get(entry.backbone)
    if not entry.segments and (shown is None or shown[1].input_size < own.input_size):
        drawn[entry.backbone] = (name, own, None)
    return {
        "entry": name,
        "field": own.size[0],
        "stride": f"{own.stride[0]:g}",
        "first centre": f"{own.start[0]:g}",
        "input": entry.input_size,
        "cells": f"{own.cells[0]} x {own.cells[1]}",
        "middle cell": bottom - top + 1,
        "by gradient": measured[1] - measured[0] + 1,
        "agree": "yes" if measured == (top, bottom) else "NO",
    }


def print_run(path, files, drawn):
    """Prints the effective field of a trained run and adds it to `drawn`."""
    from effective_field import effective_field

    from semenet.data.pipeline.datasets import prepare_image
    from semenet.models.receptive_fields import receptive_field
    from semenet.training.run_folder.run import Run

    run = Run.open(path)
    field = receptive_field(run.model, "features", run.input_size)
    pictures = [
        prepare_image(image, run.input_size, run.channels, run.inference_clahe)
        for image in radiographs(files, max(run.input_size))
    ]
    side, _ = effective_field(run.model, np.stack(pictures))
    print(
        f"{path}: field {field.size[0]} x {field.size[1]} of an input of {run.input_size[0]} x "
        f"{run.input_size[1]}; 95 % of the gradient's energy of the middle cell in {side} x {side} "
        f"({len(pictures)} images)"
    )
    drawn[run.model.name] = (run.model.name, field, side)


def radiographs(files, size, count=8):
    """Returns uint8 images `(H, W)`, from files or phantoms."""
    from semenet.data.images.listing import list_images
    from semenet.data.images.reading import read_image
    from semenet.data.phantom.dataset import CLASSES
    from semenet.data.phantom.frontal import draw_radiograph

    if files:
        return [read_image(file) for file in list_images(files)]
    side = min(max(size, 64), 1024)
    return [
        draw_radiograph(CLASSES[seed % len(CLASSES)], size=side, seed=seed).image for seed in range(count)
    ]


def write_figure(drawn, files, out):
    """Draws figure 5 (b) and (c): the middle cell's field before and after global average pooling."""
    import cv2
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from semenet.evaluation.drawing.plots import COLOURS
    from semenet.storage.atomic import output_folder

    out = output_folder(out)
    figure = Figure(figsize=(7, 3.8 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 2, squeeze=False)
    for (before, after), (name, field, side) in zip(axes, drawn.values(), strict=True):
        height, width = field.input_size
        image = cv2.resize(radiographs(files, max(field.input_size), 1)[0], (width, height))
        centre = [
            start + stride * (count // 2)
            for start, stride, count in zip(field.start, field.stride, field.cells, strict=True)
        ]
        boxes = {before: [(field.size, "-")], after: [((2 * height, 2 * width), "-")]}
        titles = {
            before: f"(b) {name}: receptive field {field.size[0]} x {field.size[1]}",
            after: "(c) after global average pooling: the whole image",
        }
        if side is not None:
            boxes[before].append(((side, side), "--"))
            titles[before] += f"\n95 % of its gradient (dashed): {side} x {side}"
        for panel, title in titles.items():
            panel.imshow(image, cmap="gray", vmin=0, vmax=255)
            panel.set_title(title, fontsize="small")
            for size, style in boxes[panel]:
                top, left = (max(middle - full / 2, -0.5) for middle, full in zip(centre, size, strict=True))
                bottom, right = (
                    min(middle + full / 2, length - 0.5)
                    for middle, full, length in zip(centre, size, field.input_size, strict=True)
                )
                box = Rectangle((left, top), right - left, bottom - top, fill=False)
                box.set(edgecolor=COLOURS[1], linewidth=2, linestyle=style, clip_on=False)
                panel.add_patch(box)
            panel.set(xlabel=f"{width} pixels", ylabel=f"{height} pixels", xticks=(), yticks=())
    for kind in ("png", "pdf"):
        figure.savefig(out / f"figure5.{kind}", dpi=150)
        print(out / f"figure5.{kind}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
