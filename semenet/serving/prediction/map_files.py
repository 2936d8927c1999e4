"""Writes the heat maps of predictions: pictures, and a table of them."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semenet.data.images.reading import read_image
from semenet.data.transforms.lung_view_on_host import Box
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice, method_function
from semenet.inference.heat_maps.overlays import cell_geometry, encode_image, overlay_heat_map, place_heat_map
from semenet.storage.atomic import output_folder, write_bytes, write_text
from semenet.storage.csv_cells import csv_text
from semenet.storage.file_names import shown_name

if TYPE_CHECKING:
    from semenet.training.run_folder.run import Run

TABLE = "maps.csv"
COLUMNS = ("file", "network", "class", "method", "layer", "heatmap", "overlay")


class MapFiles:
    """Heat maps of one network's predictions, written to a folder.

    For each image, `<stem>_heatmap.png`, 8-bit grey in the size of the image with 255 for 1, and
    `<stem>_overlay.png`, the radiograph with the map in colour; and `maps.csv`, a row for each image with
    the class, the method and the layer.

    Args:
        folder: the folder to write to; created if missing.
        run: the classifier.
        maps: the method and the layer.
        network: the network's name in a cascade, such as "stage1", which also ends the files' stems.

    Raises:
        OutputError: the folder cannot be written.
        SemenetError: unknown method or layer.
    """

    def __init__(
        self, folder: str | os.PathLike, run: Run, maps: MapChoice = DEFAULT_MAPS, network: str = ""
    ) -> None:
        self.maps = maps.of(run.model)
        self.folder = output_folder(folder)
        self._run, self._network = run, network
        self._geometry = cell_geometry(run, self.maps.layer)
        self._explain = None
        self.rows = []

    def explain(
        self,
        items: Sequence[tuple[pathlib.Path, str]],
        inputs: np.ndarray,
        index: np.ndarray,
        boxes: Sequence[Box | None] | None = None,
    ) -> None:
        """Computes the maps of a batch and writes their pictures.

        Args:
            items: N pairs of a file and the stem of its pictures.
            inputs: uint8 `(N, H, W, C)`, as the network takes them.
            index: int `(N,)`, the class to explain.
            boxes: for each image the rectangle that the network sees; None for whole images.
        """
        if self._explain is None:
            self._explain = method_function(self.maps.method)(self._run.model, self.maps.layer)
        heats, _ = self._explain(inputs, index)
        boxes = [None] * len(items) if boxes is None else boxes
        for (file, stem), heat, number, box in zip(items, heats, index, boxes, strict=True):
            self.write(file, stem, heat, self._run.class_names[number], box)

    def write(
        self, file: pathlib.Path, stem: str, heat: np.ndarray, class_name: str, box: Box | None = None
    ) -> None:
        """Writes the pictures of one image.

        Args:
            file: the image's file.
            stem: beginning of the names of its pictures.
            heat: `(h, w)` in [0, 1].
            class_name: the class that the map explains.
            box: the rectangle of the image that the network sees; None for the whole image.
        """
        image = read_image(file)
        stem = f"{stem}_{self._network}" if self._network else stem
        pictures = {
            f"{stem}_heatmap.png": np.rint(place_heat_map(heat, image.shape, self._geometry, box) * 255),
            f"{stem}_overlay.png": overlay_heat_map(image, heat, geometry=self._geometry, box=box),
        }
        for name, picture in pictures.items():
            write_bytes(self.folder / name, encode_image(picture.astype(np.uint8)))
        described = (self._network, class_name, self.maps.method, self.maps.layer)
        self.rows.append((shown_name(file), *described, *pictures))

    def finish(self) -> None:
        """Writes the table."""
        self.finish_all([self])

    @staticmethod
    def finish_all(written: Iterable[MapFiles]) -> None:
        """Writes one table of several networks' maps in the same folder."""
        written = list(written)
        table = pd.DataFrame([row for files in written for row in files.rows], columns=COLUMNS)
        if not written[0]._network:
            table = table.drop(columns="network")
        write_text(written[0].folder / TABLE, csv_text(table))
