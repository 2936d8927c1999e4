"""Finds a process's rank among those that train together, from its options or its scheduler."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from semenet.errors import SemenetError
from semenet.training.options import RunOptions

COORDINATOR_VARIABLE = "SEMENET_COORDINATOR"
PROCESSES_VARIABLE = "SEMENET_PROCESSES"
_FLAGS = {"--coordinator": "coordinator", "--processes": "processes", "--rank": "rank"}
_KUBERNETES = ("JOB_COMPLETION_INDEX", PROCESSES_VARIABLE, COORDINATOR_VARIABLE)
_SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_ID")
# Below the ports that Linux assigns automatically, from 32768.
_FIRST_PORT, _PORTS = 20_000, 12_000


class ClusterError(SemenetError):
    """Processes that cannot train together: wrong options, or one has not started or has ended."""


@dataclasses.dataclass(frozen=True)
class ProcessPlace:
    """The place of a process among those that train together.

    Attributes:
        processes: number of processes that train together.
        rank: number of this process, from 0; rank 0 writes the run folder.
        coordinator: (host, port) where rank 0 waits for the others; None for a single process.

    Raises:
        ClusterError: the values do not agree.
    """

    processes: int = 1
    rank: int = 0
    coordinator: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        """Checks that the values agree."""
        if not 0 <= self.rank < self.processes:
            raise ClusterError(
                "A rank must be in [0, processes). Received: "
                f"rank {self.rank} of {self.processes}. Number the processes from 0."
            )
        if self.processes > 1 and self.coordinator is None:
            raise ClusterError(
                f"Several processes need a coordinator. Received: {self.processes} processes without one. "
                "Pass --coordinator HOST:PORT with the host of rank 0."
            )


def find_process_place(options: RunOptions, environment: Mapping[str, str] = os.environ) -> ProcessPlace:
    """Finds the place of this process.

    The options are used first, then the variables of Slurm or of an indexed Kubernetes job.

    Args:
        options: the run's options, of which `coordinator`, `processes` and `rank` are used.
        environment: the environment variables of the process.

    Returns:
        The place; that of a single process where neither options nor variables are set.

    Raises:
        ClusterError: options or variables are incomplete, contradictory or not numbers.
    """
    flags = {flag: getattr(options, name) for flag, name in _FLAGS.items()}
    if any(value is not None for value in flags.values()):
        return _from_flags(flags)
    slurm = {name: environment[name] for name in _SLURM if name in environment}
    kubernetes = {name: environment[name] for name in _KUBERNETES if name in environment}
    if slurm and kubernetes:
        raise ClusterError(
            "A process must be started by one scheduler. Received: variables of Slurm and of Kubernetes, "
            f"{', '.join([*slurm, *kubernetes])}. Pass --coordinator, --processes and --rank."
        )
    if slurm:
        return _from_slurm(slurm, environment)
    return _from_kubernetes(kubernetes) if kubernetes else ProcessPlace()


def _from_flags(flags: dict[str, Any]) -> ProcessPlace:
    missing = [flag for flag, value in flags.items() if value is None]
    if missing and not (missing == ["--coordinator"] and flags["--processes"] == 1):
        given = ", ".join(f"{flag} {value}" for flag, value in flags.items() if value is not None)
        raise ClusterError(
            f"--coordinator, --processes and --rank must be passed together. Received: {given}. Add "
            f"{', '.join(missing)}."
        )
    coordinator = flags["--coordinator"]
    return ProcessPlace(
        flags["--processes"], flags["--rank"], None if coordinator is None else parse_address(coordinator)
    )


def _from_slurm(found: dict[str, str], environment: Mapping[str, str]) -> ProcessPlace:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    missing = [name for name in _SLURM if name not in found] + ([] if nodes else ["SLURM_JOB_NODELIST"])
    if missing:
        raise ClusterError(
            f"The tasks of a Slurm job need all of {', '.join(_SLURM)} and SLURM_JOB_NODELIST. "
            f"Received: none of {', '.join(missing)}. Start the command with srun, in a job with --ntasks; "
            "for a single process without srun, pass --processes 1 --rank 0."
        )
    port = _FIRST_PORT + _number("SLURM_JOB_ID", found) % _PORTS
    return ProcessPlace(
        _number("SLURM_NTASKS", found), _number("SLURM_PROCID", found), (first_host(nodes), port)
    )


def _from_kubernetes(found: dict[str, str]) -> ProcessPlace:
    missing = [name for name in _KUBERNETES if name not in found]
    if missing:
        raise ClusterError(
            f"The pods of an indexed Kubernetes job need all of {', '.join(_KUBERNETES)}. "
            f"Received: only {', '.join(found)}. Set {', '.join(missing)}, as docs/cluster.md shows; for a "
            "single process, pass --processes 1 --rank 0."
        )
    return ProcessPlace(
        _number(PROCESSES_VARIABLE, found),
        _number("JOB_COMPLETION_INDEX", found),
        parse_address(found[COORDINATOR_VARIABLE]),
    )


def parse_address(text: str) -> tuple[str, int]:
    """Splits "HOST:PORT" into (host, port); an IPv6 address must be in brackets.

    Raises:
        ClusterError: the text does not have this form.
    """
    match = re.fullmatch(r"(?:\[([^]]+)\]|([^:]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise ClusterError(
            f"A coordinator must be HOST:PORT. Received: {text!r}. Pass for example node001:23456 or "
            "[fe80::1]:23456."
        )
    return match[1] or match[2], int(match[3])


def first_host(nodes: str) -> str:
    """Returns the first host of a Slurm list, such as node003 for "node[003-007,009],other1"."""
    first = re.match(r"(?:[^,[]|\[[^]]*\])+", nodes)[0]
    return re.sub(r"\[([^],-]+)[^]]*\]", r"\1", first)


def _number(name: str, found: dict[str, str]) -> int:
    if not re.fullmatch(r"\d+", found[name]):
        raise ClusterError(
            f"{name} must be a whole number. Received: {found[name]!r}. Pass --coordinator, --processes and "
            "--rank."
        )
    return int(found[name])
