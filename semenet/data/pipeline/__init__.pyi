from .batches import EvaluationBatches as EvaluationBatches
from .batches import TrainingBatches as TrainingBatches
from .cache import CacheError as CacheError
from .cache import CacheKind as CacheKind
from .datasets import evaluation_dataset as evaluation_dataset
from .datasets import prepare_image as prepare_image
from .datasets import training_batches as training_batches
from .datasets import training_dataset as training_dataset
from .prepared_images import prepare_view as prepare_view
from .resized import ResizedImages as ResizedImages
from .resized import check_mask_size as check_mask_size
from .resized import read_image_and_mask as read_image_and_mask
from .sampling import Sampling as Sampling
from .sharding import write_shards as write_shards
from .tf_data import as_dataset as as_dataset
from .tf_data import unwrapped_errors as unwrapped_errors

__all__ = [
    "CacheError",
    "CacheKind",
    "EvaluationBatches",
    "ResizedImages",
    "Sampling",
    "TrainingBatches",
    "as_dataset",
    "check_mask_size",
    "evaluation_dataset",
    "prepare_image",
    "prepare_view",
    "read_image_and_mask",
    "training_batches",
    "training_dataset",
    "unwrapped_errors",
    "write_shards",
]
