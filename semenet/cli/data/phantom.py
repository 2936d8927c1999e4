"""The command `semenet phantom`."""

import pathlib

from semenet.cli.help.argument_types import Positional
from semenet.training.recipe import Names


def phantom(
    folder: Positional[pathlib.Path],
    count: int = 240,
    size: int = 256,
    seed: int = 0,
    classes: Names = ("normal", "bacteria", "virus"),
    marker_correlation: float = 0.0,
    dicom: bool = False,
) -> None:
    """Generates synthetic radiographs with masks and a manifest.

    Args:
        folder: New or empty folder, or a folder of earlier phantoms, which are replaced. Images, masks,
            lesion masks and manifest.csv are written into it.
        count: Number of images. 60/20/20 % of the patients are train, val and test.
        size: Height and width in pixels.
        seed: The same seed generates the same files.
        classes: Class names, separated by commas.
        marker_correlation: Probability that the burnt-in letter is determined by the class: adds a shortcut.
        dicom: Write the images as DICOM files of a digital X-ray device instead of PNG.
    """
    import rich.console
    import rich.progress

    from semenet.data.phantom.dataset import write_phantoms

    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Generating radiographs")
        manifest = write_phantoms(
            folder,
            count=count,
            size=size,
            seed=seed,
            classes=classes,
            marker_correlation=marker_correlation,
            dicom=dicom,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(manifest)
