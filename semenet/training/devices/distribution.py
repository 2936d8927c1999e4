"""Opens the devices that a run trains on, according to its options."""

from semenet.training.devices.cluster import find_process_place
from semenet.training.devices.data_parallel import DataParallelDevices
from semenet.training.devices.device import Devices, DistributionError
from semenet.training.devices.mirrored import MirroredDevices
from semenet.training.options import RunOptions

# Pods and nodes start at different times, while images are pulled and file systems are mounted.
JOIN_SECONDS = 300


def open_devices(options: RunOptions, *, join_seconds: float = JOIN_SECONDS) -> Devices:
    """Opens the devices that a run trains on. Must be called before any device is used.

    Args:
        options: the run's options, of which `distribute`, `coordinator`, `processes` and `rank` are used.
        join_seconds: how long several processes wait for each other.

    Returns:
        The devices, to be used in a `with` statement, which closes them.

    Raises:
        DistributionError: the mode does not support the backend, or the number of devices.
        ClusterError: the processes were started with wrong options, or not all of them have started.
    """
    if options.distribute == "data_parallel":
        return DataParallelDevices(find_process_place(options), join_seconds)
    given = [name for name in ("coordinator", "processes", "rank") if getattr(options, name) is not None]
    if given:
        raise DistributionError(
            "Only --distribute data_parallel supports several processes. Received: "
            f"--{given[0]} {getattr(options, given[0])} with --distribute {options.distribute}. Pass "
            "--distribute data_parallel, or leave it out."
        )
    return MirroredDevices() if options.distribute == "mirrored" else Devices()
