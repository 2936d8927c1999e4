from .class_activation import cam_function as cam_function
from .class_activation import grad_cam as grad_cam
from .class_activation import grad_cam_function as grad_cam_function
from .class_activation import grad_cam_plus_plus_function as grad_cam_plus_plus_function
from .class_activation import hires_cam_function as hires_cam_function
from .class_activation import layer_cam_function as layer_cam_function
from .explained_layers import layers_by_stride as layers_by_stride
from .map_choice import MapChoice as MapChoice
from .map_choice import heat_map as heat_map
from .map_choice import method_function as method_function
from .overlays import heat_map_layer as heat_map_layer
from .overlays import overlay_heat_map as overlay_heat_map
from .overlays import resize_heat_map as resize_heat_map

__all__ = [
    "MapChoice",
    "cam_function",
    "grad_cam",
    "grad_cam_function",
    "grad_cam_plus_plus_function",
    "heat_map",
    "heat_map_layer",
    "hires_cam_function",
    "layer_cam_function",
    "layers_by_stride",
    "method_function",
    "overlay_heat_map",
    "resize_heat_map",
]
