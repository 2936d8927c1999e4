"""Gets sets of published weights onto this machine, and verifies those that are here."""

from semenet.models.weights import fetching
from semenet.models.weights.described_set import CACHE, PublishedSet, read_published, verify_files
from semenet.models.weights.errors import WeightsError
from semenet.models.weights.places import METADATA
from semenet.models.weights.published import require_published
from semenet.storage.hashing import file_sha256


def get_set(entry_name: str, name: str) -> PublishedSet:
    """Finds a set of weights on this machine, or fetches it, and verifies its files.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights.

    Returns:
        The set. One in the cache with a broken file has been fetched again.

    Raises:
        WeightsError: there is no such set, or one outside the cache is broken.
        FetchError: it cannot be fetched.
    """
    published = require_published(entry_name, name)
    try:
        verify_files(published)
    except WeightsError:
        if published.origin != CACHE or name not in fetching.offered(entry_name):
            raise
        published = read_published(fetching.fetch(entry_name, name, replace=True), CACHE)
    return published


def verify_set(published: PublishedSet) -> str:
    """Verifies the hash of every file of a set, and of its metadata.json if the package knows that hash.

    Returns:
        What was verified, for a person.

    Raises:
        WeightsError: a file is missing or differs.
    """
    verify_files(published)
    verified = f"{len(published.files)} files, {published.size / 1e6:.1f} MB, in {published.origin}"
    expected = fetching.read_index().get(f"{published.entry}/{published.name}")
    if expected is None:
        return f"{verified}, as its metadata.json says; this version of semenet does not publish the set"
    digest = file_sha256(published.folder / METADATA)
    if digest != expected:
        raise WeightsError(
            f"The {METADATA} of a set must be the one that this version of semenet was published with. "
            f"Received: {published.folder / METADATA} with sha256 {digest}, expected {expected}. It "
            "belongs to another version, or was changed: replace the folder."
        )
    return f"{verified}, as published"
