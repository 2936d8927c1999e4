"""The commands that predict classes or masks for files."""

import pathlib
from typing import Annotated, Literal

import tyro

from semenet.cli.help.argument_types import Images, LungsRun, MapLayer, OptionalMapMethod, Positional, RunPath
from semenet.cli.prediction.archive import (
    ArchiveUrl,
    StudyQuery,
    StudyUids,
    check_archive_arguments,
    predict_archive,
)
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError


def predict(
    run: RunPath,
    images: Images = (),
    *,
    out: pathlib.Path,
    on_error: Literal["raise", "skip"] | None = None,
    batch_size: int = 16,
    tta: int = 1,
    lungs: LungsRun = None,
    maps: pathlib.Path | None = None,
    map_method: OptionalMapMethod = None,
    map_layer: MapLayer = "features",
    gate: bool = True,
    dicom_out: pathlib.Path | None = None,
    dicomweb: ArchiveUrl = None,
    study: StudyUids = (),
    query: StudyQuery = (),
    store: bool = False,
) -> None:
    """Writes a table of predictions: file, probabilities of each class, predicted, and input_flags.

    The table of a cascade (.csv or .parquet) also has the columns reason and lung_flags. If the process is
    killed, the same command resumes it.

    Args:
        run: Run folder, .keras file, ENTRY:NAME of published weights, or a folder written by
            `semenet cascade`.
        images: Radiographs, or folders of radiographs.
        out: CSV to write; for a cascade also .parquet.
        on_error: What to do with a file that cannot be read: stop (the default), or skip it and list it. Not
            for a cascade, which lists the file and writes a row without probabilities.
        batch_size: Images per step.
        tta: Test-time augmentation, as in `semenet evaluate`: number of fixed views to average. Not for a
            cascade. 1: the image alone. A SavedModel does not support it.
        lungs: For a network that needs lung masks: a U-Net, such as unet:lung.
        maps: Folder for heat maps of the predicted classes, and maps.csv, which lists them.
        map_method: Method of the heat maps, as in `semenet explain`. None: cam, or grad-cam where it is not
            possible.
        map_layer: Layer of the heat maps, by name or stride.
        gate: Reject images that are not upright frontal radiographs; --no-gate answers and only flags them.
            Not for a cascade, which is made with a gate or without.
        dicom_out: For a cascade: folder for DICOM objects about those of the radiographs that are DICOM: a
            Structured Report, a Segmentation of the lungs, and captures of the heat maps.
        dicomweb: For a cascade: address of a DICOMweb archive whose radiographs to classify instead of
            files. docs/dicom.md describes credentials.
        study: With --dicomweb: UIDs of the studies to classify.
        query: With --dicomweb: attributes of the studies to find, such as ModalitiesInStudy=DX.
        store: With --dicomweb: store the DICOM objects in the archive, in the study of their radiograph.
    """
    import_tensorflow()
    from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
    from semenet.serving.prediction.any_network import predict
    from semenet.storage.file_names import shown_name

    map_choice = MapChoice(map_method, map_layer)
    if maps is None and dicom_out is None and map_choice != DEFAULT_MAPS:
        raise SemenetError(
            "--map-method and --map-layer belong to heat maps. Received: no --maps and no --dicom-out. "
            "Give a folder with --maps, or leave them out."
        )
    if dicomweb is not None or study or query or store:
        others = (on_error, tta, lungs, maps, gate) != (None, 1, None, None, True)
        check_archive_arguments(dicomweb, images, others)
        predict_archive(run, out, dicomweb, study, query, store, dicom_out, batch_size, map_choice)
        print(shown_name(out))
        return
    if not images:
        raise SemenetError(
            "`semenet predict` needs radiographs. Received: none. Give files or folders, or an archive with "
            "--dicomweb."
        )
    predict(
        run,
        images,
        out,
        on_error=on_error,
        batch_size=batch_size,
        tta=tta,
        lungs=lungs,
        maps=maps,
        map_choice=map_choice,
        gated=None if gate else False,
        dicom_out=dicom_out,
    )
    print(shown_name(out))


def masks(
    manifest: Annotated[pathlib.Path, tyro.conf.arg(metavar="CSV"), Positional],
    lungs: Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN|ENTRY:NAME")],
    out: pathlib.Path,
    root: pathlib.Path | None = None,
    drop_implausible: bool = False,
) -> None:
    """Predicts the missing lung masks of a manifest with a U-Net, and writes a manifest that names them.

    If the process is killed, the same command resumes it.

    Args:
        manifest: CSV with the columns file and patient.
        lungs: U-Net: run folder, .keras file, or ENTRY:NAME of published weights, such as unet:lung.
        out: CSV to write. The masks are written into a folder beside it.
        root: Folder that relative paths start from. None: the folder of the manifest.
        drop_implausible: Remove rows whose predicted mask cannot be lungs, by its area, number of parts or
            position.
    """
    import_tensorflow()
    from semenet.serving.prediction.mask_files import fill_masks

    rows = fill_masks(manifest, lungs, out, root, drop_implausible=drop_implausible)
    implausible = (rows["mask_check"] != "").sum()
    print(f"{out}: {len(rows)} rows, {implausible} of them with a predicted mask that cannot be lungs")
