"""`semenet predict` with a DICOMweb archive instead of files."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from semenet.errors import SemenetError

if TYPE_CHECKING:
    from semenet.inference.heat_maps.map_choice import MapChoice

ArchiveUrl = Annotated[str | None, tyro.conf.arg(metavar="URL")]
StudyUids = Annotated[tuple[str, ...], tyro.conf.arg(metavar="UID"), tyro.conf.UseAppendAction]
StudyQuery = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE"), tyro.conf.UseAppendAction]
# Of a study there are only the modalities of all its series.
_OF_STUDIES = {"Modality": "ModalitiesInStudy"}


def check_archive_arguments(url: str | None, images: Sequence[pathlib.Path], others: bool) -> None:
    """Checks what the options of an archive are combined with.

    Args:
        url: address of the archive.
        images: files that were given.
        others: whether an option was given that only files have.

    Raises:
        SemenetError: there is no address, or there are files or other options beside it.
    """
    if url is None:
        raise SemenetError(
            "--study, --query and --store belong to an archive. Received: no --dicomweb. Give its address."
        )
    if images or others:
        received = str(images[0]) if images else "--on-error, --tta, --lungs, --maps or --no-gate"
        raise SemenetError(
            f"An archive is classified by a cascade, without files. Received: --dicomweb {url} with "
            f"{received}. Give one of them."
        )


def predict_archive(
    cascade: pathlib.Path,
    out: pathlib.Path,
    url: str,
    studies: Sequence[str],
    query: Sequence[str],
    store: bool,
    dicom_out: pathlib.Path | None,
    batch_size: int,
    map_choice: "MapChoice",
) -> None:
    """Classifies studies of an archive; the arguments are those of `semenet predict`.

    Raises:
        SemenetError: as `predict_studies`; or a query is not NAME=VALUE.
    """
    from semenet.serving.dicomweb.study_predictions import predict_studies

    predict_studies(
        cascade,
        url,
        out,
        studies=studies,
        query=parse_query(query),
        store=store,
        dicom_out=dicom_out,
        batch_size=batch_size,
        map_choice=map_choice,
    )


def parse_query(query: Sequence[str]) -> dict[str, str]:
    """Returns the attributes and values of NAME=VALUE texts; Modality means ModalitiesInStudy.

    Raises:
        SemenetError: a text is not NAME=VALUE.
    """
    parsed = {}
    for part in query:
        name, sign, value = part.partition("=")
        if not (name and sign and value):
            raise SemenetError(
                f"A query must be NAME=VALUE. Received: {part!r}. An example is ModalitiesInStudy=DX."
            )
        parsed[_OF_STUDIES.get(name, name)] = value
    return parsed
