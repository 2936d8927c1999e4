from .compact import halve_kernels as halve_kernels
from .compact import write_compact as write_compact
from .described_set import PublishedSet as PublishedSet
from .described_set import verify_files as verify_files
from .errors import FetchError as FetchError
from .errors import HubError as HubError
from .errors import MetadataError as MetadataError
from .errors import MissingWeightsError as MissingWeightsError
from .errors import NoWeightsError as NoWeightsError
from .errors import WeightsError as WeightsError
from .keras_files import load_keras_file as load_keras_file
from .published import described_sets as described_sets
from .published import find_published as find_published
from .published import parse_published_name as parse_published_name
from .published import published_names as published_names
from .published import published_sets as published_sets
from .published import require_published as require_published
from .sources import find_source as find_source

__all__ = [
    "FetchError",
    "HubError",
    "MetadataError",
    "MissingWeightsError",
    "NoWeightsError",
    "PublishedSet",
    "WeightsError",
    "described_sets",
    "find_published",
    "find_source",
    "halve_kernels",
    "load_keras_file",
    "parse_published_name",
    "published_names",
    "published_sets",
    "require_published",
    "verify_files",
    "write_compact",
]
