from . import checks as checks
from . import images as images
from . import manifest as manifest
from . import phantom as phantom
from . import pipeline as pipeline
from . import sources as sources
from . import transforms as transforms
from .checks.copies import find_image as find_image
from .checks.manifest_check import check_manifest as check_manifest
from .images.errors import ImageError as ImageError
from .images.reading import check_image as check_image
from .images.reading import image_size as image_size
from .images.reading import read_image as read_image
from .images.reading import read_mask as read_mask
from .manifest.class_labels import possible_classes as possible_classes
from .manifest.csv_file import ManifestError as ManifestError
from .manifest.several_labels import known_labels as known_labels
from .manifest.several_labels import split_findings as split_findings
from .manifest.splitting import split_patients as split_patients
from .manifest.table import Manifest as Manifest
from .manifest.table import check_patients as check_patients
from .manifest.table import read_manifest as read_manifest
from .manifest.table import write_manifest as write_manifest
from .phantom.dataset import write_phantoms as write_phantoms
from .phantom.frontal import draw_radiograph as draw_radiograph
from .pipeline.cache import CacheError as CacheError
from .pipeline.datasets import evaluation_dataset as evaluation_dataset
from .pipeline.datasets import prepare_image as prepare_image
from .pipeline.datasets import training_dataset as training_dataset
from .pipeline.prepared_images import prepare_view as prepare_view
from .pipeline.sampling import Sampling as Sampling
from .pipeline.sharding import write_shards as write_shards
from .pipeline.tf_data import unwrapped_errors as unwrapped_errors
from .sources.class_folders import read_class_folders as read_class_folders
from .sources.combining.combine import combine_manifests as combine_manifests
from .transforms.augmentation import Augmentation as Augmentation
from .transforms.lung_view import LungView as LungView

__all__ = [
    "Augmentation",
    "CacheError",
    "ImageError",
    "LungView",
    "Manifest",
    "ManifestError",
    "Sampling",
    "check_image",
    "check_manifest",
    "check_patients",
    "checks",
    "combine_manifests",
    "draw_radiograph",
    "evaluation_dataset",
    "find_image",
    "image_size",
    "images",
    "known_labels",
    "manifest",
    "phantom",
    "pipeline",
    "possible_classes",
    "prepare_image",
    "prepare_view",
    "read_class_folders",
    "read_image",
    "read_manifest",
    "read_mask",
    "sources",
    "split_findings",
    "split_patients",
    "training_dataset",
    "transforms",
    "unwrapped_errors",
    "write_manifest",
    "write_phantoms",
    "write_shards",
]
