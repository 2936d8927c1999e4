from .explanations import explain as explain
from .heat_map_analysis import analyse_heat_maps as analyse_heat_maps
from .lung_zones import heat_by_class as heat_by_class
from .lung_zones import heat_shares as heat_shares
from .randomization import randomization_check as randomization_check

__all__ = ["analyse_heat_maps", "explain", "heat_by_class", "heat_shares", "randomization_check"]
