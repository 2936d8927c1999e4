"""A DICOMweb archive: searched by QIDO-RS, read by WADO-RS, and written by STOW-RS."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from semenet.errors import SemenetError

if TYPE_CHECKING:
    from pydicom import Dataset

TOKEN, USER, PASSWORD = "SEMENET_DICOMWEB_TOKEN", "SEMENET_DICOMWEB_USER", "SEMENET_DICOMWEB_PASSWORD"
_STUDIES_AT_ONCE = 100
_TIMEOUT = 60.0
_FIELDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality")
_ANY_SYNTAX = (("application/dicom", "*"),)


class ArchiveError(SemenetError):
    """An archive that cannot be reached, or that refuses a request."""


class InstanceError(ArchiveError):
    """An instance that the archive refuses to give or to store, or gives damaged; others are not affected."""


@dataclasses.dataclass(frozen=True)
class Instance:
    """What an archive says of one instance: its identifiers, its SOP class and its modality."""

    study: str
    series: str
    uid: str
    sop_class: str
    modality: str


class Archive:
    """A DICOMweb archive.

    Credentials are read from the environment: a bearer token from `SEMENET_DICOMWEB_TOKEN`, else a name and a
    password from `SEMENET_DICOMWEB_USER` and `SEMENET_DICOMWEB_PASSWORD`.

    Args:
        url: the root of the archive's DICOMweb services, such as `https://pacs.example/dicom-web`.
        timeout: seconds to wait for an answer.

    Raises:
        ArchiveError: the address is not one of http or https, or only one of name and password is set.
        SemenetError: dicomweb-client is not installed.

    Example:
        >>> from semenet.serving.dicomweb import Archive
        >>> Archive("ftp://pacs")
        Traceback (most recent call last):
        semenet.serving.dicomweb.archive.ArchiveError: The address of an archive must begin with http...
    """

    def __init__(self, url: str, timeout: float = _TIMEOUT) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise ArchiveError(
                f"The address of an archive must begin with http:// or https://. Received: {url}. Give the "
                "root of its DICOMweb services."
            )
        if importlib.util.find_spec("dicomweb_client") is None:
            raise SemenetError(
                f"An archive needs dicomweb-client, which is not installed. Received: --dicomweb {url}. Run: "
                "pip install 'semenet[dicom]'"
            )
        from dicomweb_client.api import DICOMwebClient

        self.url = url.rstrip("/")
        self._client = DICOMwebClient(self.url, session=_session(), timeout=timeout)

    def find_studies(self, query: Mapping[str, str]) -> Iterator[str]:
        """Yields the UIDs of the studies that match a query, such as `{"ModalitiesInStudy": "DX"}`.

        Raises:
            ArchiveError: the archive cannot be reached, or refuses.
        """
        seen = set()
        while True:
            page = self._ask(
                "search for studies",
                self._client.search_for_studies,
                search_filters=dict(query),
                limit=_STUDIES_AT_ONCE,
                offset=len(seen),
            )
            # An archive that ignores the offset would answer the same studies for ever.
            new = [uid for uid in (_value(study, "0020000D") for study in page) if uid and uid not in seen]
            yield from new
            seen.update(new)
            if not new or len(page) < _STUDIES_AT_ONCE:
                return

    def instances(self, study: str) -> list[Instance]:
        """Returns the instances of a study, in the order of their identifiers.

        Raises:
            ArchiveError: the archive cannot be reached, or refuses.
        """
        found = self._ask(
            f"list study {study}",
            self._client.search_for_instances,
            study_instance_uid=study,
            fields=list(_FIELDS),
        )
        instances = [
            Instance(
                study=study,
                series=_value(one, "0020000E"),
                uid=_value(one, "00080018"),
                sop_class=_value(one, "00080016"),
                modality=_value(one, "00080060"),
            )
            for one in found
        ]
        return sorted(instances, key=lambda one: (one.series, one.uid))

    def fetch(self, instance: Instance) -> bytes:
        """Returns the file of an instance, in the transfer syntax in which the archive keeps it.

        Raises:
            ArchiveError: the archive cannot be reached, or refuses access.
            InstanceError: the instance is broken, or the archive does not give it.
        """
        dataset = self._ask(
            f"fetch instance {instance.uid}",
            self._client.retrieve_instance,
            instance.study,
            instance.series,
            instance.uid,
            media_types=_ANY_SYNTAX,
        )
        stream = io.BytesIO()
        dataset.save_as(stream)
        return stream.getvalue()

    def store(self, dataset: Dataset) -> None:
        """Stores an object. One that the archive has already is left as it is, or replaced by an equal one.

        Raises:
            ArchiveError: the archive cannot be reached, or refuses access.
            InstanceError: the archive refuses the object.
        """
        answer = self._ask(
            f"store {dataset.SOPInstanceUID}",
            self._client.store_instances,
            [dataset],
            study_instance_uid=dataset.StudyInstanceUID,
        )
        refused = answer.get("FailedSOPSequence") or ()
        if refused:
            raise InstanceError(
                f"{self.url} refused to store {dataset.SOPInstanceUID}, with failure reason "
                f"{refused[0].get('FailureReason')}. Look into the archive's log."
            )

    def _ask(self, what: str, function: Any, *arguments: Any, **options: Any) -> Any:
        """Calls a function of the client; its errors become an ArchiveError in plain words."""
        import requests

        try:
            return function(*arguments, **options)
        except requests.exceptions.SSLError as error:
            raise ArchiveError(
                f"The certificate of an https archive must be trusted. Received: {self.url}: {_root(error)}. "
                "Set REQUESTS_CA_BUNDLE to the file with the certificates of your hospital."
            ) from error
        except requests.exceptions.HTTPError as error:
            raise self._refusal(what, error) from error
        except requests.exceptions.RequestException as error:
            raise ArchiveError(
                f"An archive must answer. Received: {self.url}, which could not {what}: {_root(error)}. "
                "Check the address and the network; the same command resumes."
            ) from error
        except Exception as error:
            # pydicom raises nearly any exception for a damaged instance.
            raise InstanceError(
                f"{self.url} could not {what}: the answer is damaged ({type(error).__name__}: {error})."
            ) from error

    def _refusal(self, what: str, error: Any) -> ArchiveError:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            given = next((name for name in (TOKEN, USER) if os.environ.get(name)), "no credentials")
            return ArchiveError(
                f"The archive {self.url} refused access (HTTP {status}). Received: {given}. Set {TOKEN}, or "
                f"{USER} and {PASSWORD}."
            )
        return InstanceError(
            f"{self.url} could not {what}: HTTP {status}. Check the address and the archive's log."
        )


def _session() -> Any:
    """Returns a session with the credentials of the environment."""
    from dicomweb_client.session_utils import create_session

    session = create_session()
    token, user, password = (os.environ.get(name) for name in (TOKEN, USER, PASSWORD))
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user and password:
        session.auth = (user, password)
    elif user or password:
        raise ArchiveError(
            f"A name needs its password. Received: only {USER if user else PASSWORD}. Set both {USER} and "
            f"{PASSWORD}."
        )
    return session


def _value(found: Mapping[str, Any], tag: str) -> str:
    """Returns the first value of a tag in DICOM JSON, "" for none."""
    values = found.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _root(error: BaseException) -> str:
    """Returns the text of the error that began a chain of errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__
