"""Where a process stands among those that train together, as its flags or its scheduler say."""

import dataclasses
import os
import re

from semenet.errors import SemenetError

COORDINATOR_VARIABLE = "SEMENET_COORDINATOR"
PROCESSES_VARIABLE = "SEMENET_PROCESSES"
_FLAGS = {"--coordinator": "coordinator", "--processes": "processes", "--rank": "rank"}
_KUBERNETES = ("JOB_COMPLETION_INDEX", PROCESSES_VARIABLE, COORDINATOR_VARIABLE)
_SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_ID")
# Below the ports that Linux hands out by itself, from 32768 on.
_FIRST_PORT, _PORTS = 20_000, 12_000


class ClusterError(SemenetError):
    """Processes cannot train together: they were started wrongly, do not turn up, or one has ended."""


@dataclasses.dataclass(frozen=True)
class Place:
    """One process's place.

    Attributes:
        processes: how many train together.
        rank: this one's number, from 0 on; rank 0 writes the run folder.
        coordinator: (host, port) at which rank 0 waits for the others; None for a single process.

    Raises:
        ClusterError: a value is out of its range.
    """

    processes: int = 1
    rank: int = 0
    coordinator: tuple[str, int] | None = None

    def __post_init__(self):
        """Checks that the values agree."""
        if not 0 <= self.rank < self.processes:
            raise ClusterError(
                "A rank lies in [0, processes). Received: "
                f"rank {self.rank} of {self.processes}. Number the processes from 0 on."
            )
        if self.processes > 1 and self.coordinator is None:
            raise ClusterError(
                "Several processes meet at a coordinator. Received: "
                f"{self.processes} processes and none. Pass --coordinator HOST:PORT, the host being rank 0's."
            )


def find_place(options, environment=os.environ):
    """Finds this process's place, by the flags, else by Slurm's variables or an indexed Kubernetes job's.

    Args:
        options: `RunOptions`, of which `coordinator`, `processes` and `rank` are looked at.
        environment: mapping of the process's environment variables.

    Returns:
        `Place`; that of a single process where nothing says otherwise.

    Raises:
        ClusterError: if what says it is incomplete, contradicts itself or is no number.
    """
    flags = {flag: getattr(options, name) for flag, name in _FLAGS.items()}
    if any(value is not None for value in flags.values()):
        return _from_flags(flags)
    slurm = {name: environment[name] for name in _SLURM if name in environment}
    kubernetes = {name: environment[name] for name in _KUBERNETES if name in environment}
    if slurm and kubernetes:
        raise ClusterError(
            "One scheduler starts a process. Received: variables of Slurm and of Kubernetes, "
            f"{', '.join([*slurm, *kubernetes])}. Pass --coordinator, --processes and --rank."
        )
    if slurm:
        return _from_slurm(slurm, environment)
    return _from_kubernetes(kubernetes) if kubernetes else Place()


def _from_flags(flags):
    missing = [flag for flag, value in flags.items() if value is None]
    if missing and not (missing == ["--coordinator"] and flags["--processes"] == 1):
        given = ", ".join(f"{flag} {value}" for flag, value in flags.items() if value is not None)
        raise ClusterError(
            f"--coordinator, --processes and --rank go together. Received: {given}. Add {', '.join(missing)}."
        )
    coordinator = flags["--coordinator"]
    return Place(
        flags["--processes"], flags["--rank"], None if coordinator is None else parse_address(coordinator)
    )


def _from_slurm(found, environment):
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    missing = [name for name in _SLURM if name not in found] + ([] if nodes else ["SLURM_JOB_NODELIST"])
    if missing:
        raise ClusterError(
            f"A Slurm job's tasks have all of {', '.join(_SLURM)} and SLURM_JOB_NODELIST. "
            f"Received: none of {', '.join(missing)}. Start the command with srun, and --ntasks for the job; "
            "a single process without srun takes --processes 1 --rank 0."
        )
    port = _FIRST_PORT + _number("SLURM_JOB_ID", found) % _PORTS
    return Place(_number("SLURM_NTASKS", found), _number("SLURM_PROCID", found), (first_host(nodes), port))


def _from_kubernetes(found):
    missing = [name for name in _KUBERNETES if name not in found]
    if missing:
        raise ClusterError(
            f"The pods of an indexed Kubernetes job have all of {', '.join(_KUBERNETES)}. "
            f"Received: {', '.join(found)} alone. Set {', '.join(missing)}, as docs/cluster.md shows; a "
            "single process takes --processes 1 --rank 0."
        )
    return Place(
        _number(PROCESSES_VARIABLE, found),
        _number("JOB_COMPLETION_INDEX", found),
        parse_address(found[COORDINATOR_VARIABLE]),
    )


def parse_address(text):
    """Splits "HOST:PORT" into (host, port); an IPv6 address stands in brackets.

    Raises:
        ClusterError: if the text is not of that form.
    """
    match = re.fullmatch(r"(?:\[([^]]+)\]|([^:]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise ClusterError(
            f"A coordinator is HOST:PORT. Received: {text!r}. For example node001:23456, or [fe80::1]:23456."
        )
    return match[1] or match[2], int(match[3])


def first_host(nodes):
    """The first host of a Slurm list, such as node003 of "node[003-007,009],other1"."""
    first = re.match(r"(?:[^,[]|\[[^]]*\])+", nodes)[0]
    return re.sub(r"\[([^],-]+)[^]]*\]", r"\1", first)


def _number(name, found):
    if not re.fullmatch(r"\d+", found[name]):
        raise ClusterError(
            f"{name} is a whole number. Received: {found[name]!r}. Pass --coordinator, --processes and "
            "--rank."
        )
    return int(found[name])
