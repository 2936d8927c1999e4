from .embedding_probe import probe as probe
from .feature_table import read_features as read_features

__all__ = ["probe", "read_features"]
