from .embeddings import embedding_function as embedding_function
from .heat_maps.class_activation import cam_function as cam_function
from .heat_maps.class_activation import grad_cam as grad_cam
from .heat_maps.class_activation import grad_cam_function as grad_cam_function
from .heat_maps.class_activation import grad_cam_plus_plus_function as grad_cam_plus_plus_function
from .heat_maps.class_activation import hires_cam_function as hires_cam_function
from .heat_maps.class_activation import layer_cam_function as layer_cam_function
from .heat_maps.explained_layers import layers_by_stride as layers_by_stride
from .heat_maps.map_choice import MapChoice as MapChoice
from .heat_maps.map_choice import heat_map as heat_map
from .heat_maps.map_choice import method_function as method_function
from .heat_maps.overlays import heat_map_layer as heat_map_layer
from .heat_maps.overlays import overlay_heat_map as overlay_heat_map
from .heat_maps.overlays import resize_heat_map as resize_heat_map
from .lung_masks import LungMasks as LungMasks
from .lung_masks import keep_only_lungs as keep_only_lungs
from .lung_plausibility import failed_lung_checks as failed_lung_checks
from .scoring import reported_findings as reported_findings
from .scoring import scoring_function as scoring_function

__all__ = [
    "LungMasks",
    "MapChoice",
    "cam_function",
    "embedding_function",
    "failed_lung_checks",
    "grad_cam",
    "grad_cam_function",
    "grad_cam_plus_plus_function",
    "heat_map",
    "heat_map_layer",
    "hires_cam_function",
    "keep_only_lungs",
    "layer_cam_function",
    "layers_by_stride",
    "method_function",
    "overlay_heat_map",
    "reported_findings",
    "resize_heat_map",
    "scoring_function",
]
