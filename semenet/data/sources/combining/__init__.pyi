from .combine import combine_manifests as combine_manifests
from .combine import count_labels as count_labels
from .combine import manifest_name as manifest_name

__all__ = ["combine_manifests", "count_labels", "manifest_name"]
