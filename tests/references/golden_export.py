"""Writes tests/serving/exports/golden_export.json: small files of each format with their expected results.

Usage: PYTHONPATH=tests/references python tests/references/golden_export.py

The files are encoded phantoms, stored as bytes, so that a new encoder changes nothing. The expected results
are the digests of the prepared images and the probabilities of a cascade of hand-made networks. Run this
script only to change them on purpose: if a later version prepares an image differently, in Python or in the
exported graph, its results differ from those that the networks were trained and published with.
"""

import base64
import hashlib
import io
import json
import pathlib
import tempfile
from collections.abc import Iterable

import cv2
import numpy as np
from hand_made_networks import brightness_network, threshold_unet
from PIL import Image

from semenet.data.images.colour import is_coloured
from semenet.data.images.reading import read_image
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.cascade.cascade import Cascade

GOLDEN = pathlib.Path(__file__).parents[1] / "serving" / "exports" / "golden_export.json"


def golden_cascade(folder: pathlib.Path | str) -> Cascade:
    """Builds a cascade of hand-made networks with different input sizes, one of them after CLAHE."""
    folder = pathlib.Path(folder)
    return Cascade(
        brightness_network(folder / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02]),
        threshold_unet(folder / "unet.keras"),
        brightness_network(
            folder / "two.keras",
            ("other_viral", "COVID-19"),
            [0.0, 0.05],
            size=(32, 56),
            alone=True,
            clahe=True,
        ),
    )


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of an image prepared by `Cascade.prepare`."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def _encoded_files() -> dict[str, bytes]:
    """Returns encoded files of several sizes, by name."""
    chest = draw_radiograph("bacteria", size=128, seed=5).image
    tall, small = chest[:, :97], cv2.resize(chest, (80, 100))
    colours = cv2.cvtColor(cv2.applyColorMap(tall, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    images = {
        "grey.png": (Image.fromarray(chest), {}),
        "sixteen_bits.png": (Image.fromarray(tall.astype("uint16") * 257 + 3), {}),
        "palette.png": (Image.fromarray(small).convert("P"), {}),
        "alpha.png": (Image.fromarray(np.dstack([tall] * 3 + [255 - tall])), {}),
        "colour.png": (Image.fromarray(colours), {}),
        "grey.jpg": (Image.fromarray(chest), {"quality": 80}),
        "progressive.jpg": (Image.fromarray(tall), {"quality": 85, "progressive": True}),
        "colour.jpg": (Image.fromarray(colours), {"quality": 70}),
        "turned_by_exif.jpg": (Image.fromarray(np.ascontiguousarray(np.rot90(tall))), {"exif": exif}),
        "inks.jpg": (Image.fromarray(np.dstack([255 - tall] * 3 + [tall * 0])[..., :4], "CMYK"), {}),
    }
    encoded = {}
    for name, (image, settings) in images.items():
        buffer = io.BytesIO()
        image.save(buffer, "PNG" if name.endswith("png") else "JPEG", **settings)
        encoded[name] = buffer.getvalue()
    return encoded


def main() -> None:
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        cascade = golden_cascade(folder)
        for name, contents in _encoded_files().items():
            prepared = cascade.prepare(read_image(contents), is_coloured(contents))
            found = cascade.decide([prepared])
            golden[name] = {
                "file": base64.b64encode(contents).decode(),
                "prepared_sha256": digest(prepared),
                "probabilities": found.probabilities[0].round(7).tolist(),
                "predicted": found.predicted[0],
                "reason": found.reasons[0],
            }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
