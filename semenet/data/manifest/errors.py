"""The errors and the warning of manifests."""

from semenet.errors import MissingFileError, SemenetError


class ManifestError(SemenetError):
    """A manifest that cannot be used: the rule, what was received, the remedy."""


class MissingManifestError(ManifestError, MissingFileError):
    """A manifest that does not exist."""


class ManifestWarning(UserWarning):
    """A manifest that can be used, but probably does not say what its author means."""
