"""Copies sets of published weights to a folder or to a repository on the Hugging Face Hub."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semenet.models.weights.described_set import PublishedSet, read_published, verify_files
from semenet.models.weights.errors import HubError, WeightsError
from semenet.models.weights.places import METADATA
from semenet.models.weights.transfer.hub_source import HubAddress, hub_client, hub_errors
from semenet.storage.atomic import output_folder, write_text

if TYPE_CHECKING:
    import huggingface_hub

README = "README.md"
CARD = "card.md"
# A README.md with this line may be replaced; anybody else's may not.
WRITTEN_BY = "<!-- Written by `semenet weights push`, which replaces it. -->"
# Renders the README.md of a zoo from the metadata of its sets.
Render = Callable[[Sequence[dict[str, Any]]], str]


def push_to_folder(sets: Sequence[PublishedSet], folder: Path, render: Render) -> Path:
    """Copies sets of weights into a folder with the layout of the repository's folder `zoo`.

    Args:
        sets: the sets.
        folder: the folder, which may hold other sets.
        render: returns README.md for the metadata of all sets in the folder.

    Returns:
        The folder.

    Raises:
        WeightsError: a file differs from its metadata, or README.md was written by somebody else.
        OutputError: the folder cannot be written to.
    """
    for published in sets:
        verify_files(published)
    _check_readme(folder / README, _read_text(folder / README))
    targets = [folder / published.entry / published.name for published in sets]
    there = [path for path in sorted(folder.glob(f"*/*/{METADATA}")) if path.parent not in targets]
    others = [other.metadata for other in map(read_published, there) if other.weights is not None]
    readme = render([*others, *(published.metadata for published in sets)])
    for published, target in zip(sets, targets, strict=True):
        if target.resolve() != published.folder.resolve():
            _copy_set(published, target)
    write_text(folder / README, readme)
    return folder


def push_to_hub(
    sets: Sequence[PublishedSet],
    address: str,
    render: Render,
    private: bool = False,
    message: str | None = None,
) -> str:
    """Uploads sets of weights to a repository on the Hub in one commit, and creates the repository if needed.

    Args:
        sets: the sets.
        address: `hf://OWNER/REPO`, also with `@BRANCH`.
        render: returns README.md for the metadata of all sets in the repository.
        private: whether a new repository is private.
        message: message of the commit; None for the names of the sets.

    Returns:
        `hf://OWNER/REPO@COMMIT`, the value for `SEMENET_ZOO_URL` that names what was pushed.

    Raises:
        WeightsError: a file differs from its metadata, or README.md was written by somebody else.
        HubError: the address is wrong, huggingface-hub is not installed, or the Hub refuses the upload.
    """
    target = HubAddress.parse(address)
    for published in sets:
        verify_files(published)
    client = hub_client()
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    branch = target.revision or "main"
    with hub_errors(HubError, target), tempfile.TemporaryDirectory() as temporary:
        client.create_repo(target.repository, private=private, exist_ok=True)
        info = client.model_info(target.repository, revision=branch)
        there = [sibling.rfilename for sibling in info.siblings or []]
        folders = tuple(f"{published.entry}/{published.name}/" for published in sets)
        uploads = {
            folder + path.name: path
            for folder, published in zip(folders, sets, strict=True)
            for path in _files(published)
        }
        metadata = [published.metadata for published in sets]
        for name in there:
            of_other_set = name.count("/") == 2 and name.endswith(f"/{METADATA}")
            if name == README or (of_other_set and not name.startswith(folders)):
                text = _download(client, target.repository, info.sha, name, temporary)
                if name == README:
                    _check_readme(f"{target}/{README}", text)
                elif json.loads(text)["weights"] is not None:
                    metadata.append(json.loads(text))
        operations = [CommitOperationAdd(name, path) for name, path in uploads.items()]
        operations.append(CommitOperationAdd(README, render(metadata).encode()))
        operations += [
            CommitOperationDelete(name) for name in there if name.startswith(folders) and name not in uploads
        ]
        commit = client.create_commit(
            target.repository,
            operations,
            commit_message=message or f"Publish {', '.join(published.label for published in sets)}",
            revision=branch,
            parent_commit=info.sha,
        )
    return str(HubAddress(target.repository, commit.oid))


def _files(published: PublishedSet) -> list[Path]:
    names = [METADATA, *published.files]
    # A set that was written by hand may have no card.
    names += [CARD] if (published.folder / CARD).is_file() else []
    return [published.folder / name for name in names]


def _copy_set(published: PublishedSet, target: Path) -> None:
    output_folder(target.parent)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        for path in _files(published):
            shutil.copyfile(path, folder / path.name)
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)


def _read_text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _check_readme(path: Path | str, text: str | None) -> None:
    if text is not None and WRITTEN_BY not in text:
        raise WeightsError(
            f"A {README} that somebody else wrote is not replaced. Received: {path}. Rename or remove it; "
            "the cards of the sets can hold what it says."
        )


def _download(client: "huggingface_hub.HfApi", repository: str, commit: str, name: str, folder: str) -> str:
    path = client.hf_hub_download(repository, name, revision=commit, local_dir=folder)
    return Path(path).read_text(encoding="utf-8")
