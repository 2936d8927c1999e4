from .explanations import explain as explain
from .heat_map_analysis import analyse_heat_maps as analyse_heat_maps
from .lung_zones import heat_by_class as heat_by_class
from .lung_zones import heat_shares as heat_shares
from .map_comparison import compare_map_methods as compare_map_methods
from .pointing import mean_pointing_scores as mean_pointing_scores
from .pointing import pointing_scores as pointing_scores
from .randomization import randomization_check as randomization_check

__all__ = [
    "analyse_heat_maps",
    "compare_map_methods",
    "explain",
    "heat_by_class",
    "heat_shares",
    "mean_pointing_scores",
    "pointing_scores",
    "randomization_check",
]
