"""Makes ready the devices that a run trains on, as its options say."""

from semenet.training.devices.cluster import find_place
from semenet.training.devices.data_parallel import DataParallelDevices
from semenet.training.devices.device import Devices, DistributionError
from semenet.training.devices.mirrored import MirroredDevices

# Pods and nodes start at different times, images being pulled and file systems mounted.
JOIN_SECONDS = 300


def open_devices(options, *, join_seconds=JOIN_SECONDS):
    """Makes ready the devices that a run trains on. Call it before anything touches a device.

    Args:
        options: `RunOptions`, of which `distribute`, `coordinator`, `processes` and `rank` are looked at.
        join_seconds: how long several processes wait for each other.

    Returns:
        `Devices` or one of its kinds, to be used in a `with` statement, which closes them.

    Raises:
        DistributionError: for a backend, or a number of devices, that the mode cannot use.
        ClusterError: if processes were started wrongly, or do not turn up.
    """
    if options.distribute == "data_parallel":
        return DataParallelDevices(find_place(options), join_seconds)
    given = [name for name in ("coordinator", "processes", "rank") if getattr(options, name) is not None]
    if given:
        raise DistributionError(
            "Only --distribute data_parallel has several processes. Received: "
            f"--{given[0]} {getattr(options, given[0])} with --distribute {options.distribute}. Pass "
            "--distribute data_parallel, or leave it out."
        )
    return MirroredDevices() if options.distribute == "mirrored" else Devices()
