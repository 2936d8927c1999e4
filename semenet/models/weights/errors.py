"""The errors about weights."""

from semenet.errors import MissingFileError, SemenetError


class WeightsError(SemenetError):
    """A file of weights or a saved model cannot be found, read or used.

    Example:
        >>> import semenet
        >>> from semenet.models import WeightsError
        >>> try:
        ...     semenet.load_model("unet:heart")
        ... except WeightsError as error:
        ...     print("No such weights.")
        No such weights.
    """


class MissingWeightsError(WeightsError, MissingFileError):
    """A file of weights or a saved model does not exist."""


class MetadataError(SemenetError):
    """A metadata.json of the zoo cannot be read, or has a missing key."""


class NoWeightsError(SemenetError):
    """The zoo has metrics of a network, but no weights."""


class FetchError(SemenetError):
    """Published weights cannot be fetched, or what was received differs from what was published."""


class HubError(SemenetError):
    """A repository of the Hugging Face Hub cannot be named, reached or written to."""
