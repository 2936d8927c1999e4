"""Fetches files from a repository of the Hugging Face Hub, through its own client huggingface-hub."""

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from semenet.errors import SemenetError
from semenet.models.weights.errors import FetchError, HubError

if TYPE_CHECKING:
    import huggingface_hub

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(\w[\w./-]*))?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BRANCH = "main"


@dataclasses.dataclass(frozen=True)
class HubAddress:
    """The address of a repository on the Hub.

    Attributes:
        repository: `OWNER/REPO`.
        revision: commit, tag or branch; None for the newest commit of `main`.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `hf://OWNER/REPO[@REVISION]`.

        Raises:
            HubError: the text is no such address.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise HubError(
                "The address of a repository on the Hugging Face Hub must be hf://OWNER/REPO or "
                f"hf://OWNER/REPO@REVISION. Received: {text!r}. Correct the address."
            )
        return cls(*match.groups())

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision else "")


class HubSource:
    """A zoo in a repository of the Hub, at one commit.

    A branch or a tag is resolved to its commit once, so that all files of a set come from the same commit.

    Args:
        address: `hf://OWNER/REPO[@REVISION]`.

    Raises:
        HubError: the address is wrong, or huggingface-hub is not installed.
        FetchError: the revision cannot be looked up.
    """

    def __init__(self, address: str) -> None:
        given = HubAddress.parse(address)
        self._client = hub_client()
        commit = given.revision
        if commit is None or not _COMMIT.fullmatch(commit):
            with hub_errors(FetchError, given):
                commit = self._client.model_info(given.repository, revision=given.revision or _BRANCH).sha
        self._repository, self._commit = given.repository, commit
        self.address = str(HubAddress(given.repository, commit))

    def download(self, name: str, path: Path, max_bytes: int, advance: Callable[[int], None]) -> None:
        """Downloads one file, as `HttpSource.download`.

        Raises:
            FetchError: the file cannot be fetched, or is too large.
        """
        temporary = Path(tempfile.mkdtemp(prefix=".hub.", dir=path.parent))
        try:
            with hub_errors(FetchError, f"{self.address}/{name}"):
                fetched = self._client.hf_hub_download(
                    self._repository,
                    name,
                    revision=self._commit,
                    local_dir=temporary,
                    tqdm_class=_counting_bar(max_bytes, advance),
                )
            os.replace(fetched, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def hub_client() -> "huggingface_hub.HfApi":
    """Returns the client of the Hub that `HF_ENDPOINT` names, by default huggingface.co.

    Raises:
        HubError: huggingface-hub is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(
            "An address hf://OWNER/REPO needs the package huggingface-hub. Received: an installation without "
            "it. Run pip install 'semenet[hub]'."
        ) from error
    # huggingface_hub itself reads the variable only once, at its import.
    return huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="semenet")


@contextlib.contextmanager
def hub_errors(kind: type[FetchError | HubError], received: object) -> Iterator[None]:
    """Raises every error of huggingface-hub as one of this package.

    Args:
        kind: class of the error.
        received: the address, for the message.
    """
    try:
        yield
    except SemenetError:
        raise
    # The errors of huggingface-hub, of its HTTP client and of its transfer library share no base class.
    except Exception as error:
        reason = " ".join(str(error).split()) or repr(error)
        raise kind(
            f"The Hugging Face Hub must have the repository and allow access to it. Received: {received}: "
            f"{reason}. Check the address, the network, and for a private repository the login "
            "(`hf auth login`)."
        ) from error


def _counting_bar(max_bytes: int, advance: Callable[[int], None]) -> type[Any]:
    """Returns a class of progress bars that draw nothing, and report and limit the bytes received."""
    import tqdm

    class CountingBar(tqdm.tqdm):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings | {"disable": True})
            self._received = 0

        def update(self, size: float = 1) -> None:
            self._received += size
            if self._received > max_bytes:
                raise ValueError(f"more than the {max_bytes} bytes that it must have")
            advance(int(size))

    return CountingBar
