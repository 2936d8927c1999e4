from .cluster import ClusterError as ClusterError
from .device import Devices as Devices
from .device import DistributionError as DistributionError
from .distribution import open_devices as open_devices

__all__ = [
    "ClusterError",
    "Devices",
    "DistributionError",
    "open_devices",
]
