"""Attacks `semenet.read_image` with damaged files of every format, and with small files that cost much.

    python tools/attack/readers.py --count 3000

Each file is read in another process. One that crashes it, takes more than ten seconds of a processor, or
makes it take more than a gigabyte is kept and named. The damaged files are a function of the seed.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = pathlib.Path(__file__)
REFERENCES = pathlib.Path(__file__).parents[2] / "tests" / "references"
SECONDS = 10.0
MEGABYTES = 1024
# A damaged header may declare more pixels than the original, which takes time as a large image does.
MOST_PIXELS = 1_000_000


@dataclasses.dataclass
class Result:
    """What became of the files, by their names.

    Attributes:
        outcomes: "accepted" or "rejected"; or "crashed", "hung" or "too large" for a file that ended its
            process.
        seconds: the processor time to read each file.
        megabytes: the largest memory of the reading processes.
    """

    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    megabytes: float = 0.0

    @property
    def broken(self) -> list[str]:
        """The files that crashed a process, hung it, or made it too large."""
        return [name for name, outcome in self.outcomes.items() if outcome not in ("accepted", "rejected")]

    def table(self) -> str:
        """Returns the counts as a Markdown table."""
        counts = {
            outcome: sum(found == outcome for found in self.outcomes.values())
            for outcome in ("accepted", "rejected", "crashed", "hung", "too large")
        }
        slowest = max(self.seconds, key=self.seconds.get)
        head = ["tried", *counts, "slowest file", "peak memory"]
        row = [
            len(self.outcomes),
            *counts.values(),
            f"{self.seconds[slowest]:.2f} s ({pathlib.Path(slowest).name})",
        ]
        row.append(f"{self.megabytes:,.0f} MB")
        lines = [head, ["---"] * len(head), row]
        return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def read_files(names: list[str]) -> None:
    """Reads files, and prints each name before and each outcome behind, for the process that watches."""
    import warnings

    # Packages that are imported with the first file that needs them.
    import imagecodecs  # noqa: F401
    import pydicom.encaps
    import pydicom.pixels  # noqa: F401
    import tifffile  # noqa: F401
    from PIL import JpegImagePlugin  # noqa: F401

    from semenet.data.images.errors import ImageError
    from semenet.data.images.reading import read_image

    warnings.simplefilter("ignore")
    for name in names:
        print(name, flush=True)
        limit = {"max_pixels": MOST_PIXELS} if "mutated" in name else {}
        began = time.process_time()
        try:
            read_image(name, **limit)
            outcome = "accepted"
        except ImageError:
            outcome = "rejected"
        print(f"{outcome} {time.process_time() - began} {_peak_megabytes()}", flush=True)


def _peak_megabytes() -> float:
    # `resource.getrusage` would include the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def attack(files: list[pathlib.Path], seconds: float = SECONDS) -> Result:
    """Reads files in other processes, a new one after each that was ended.

    Args:
        files: the files to read.
        seconds: the processor time after which a file counts as hung.

    Returns:
        The outcomes.
    """
    result, waiting = Result(), list(map(str, files))
    while waiting:
        waiting = waiting[_read_in_a_process(waiting, seconds, result) :]
    return result


def _read_in_a_process(names: list[str], seconds: float, result: Result) -> int:
    """Reads files until one ends the process or takes too much memory; returns how many were begun."""
    # A list of thousands of names is too long for a command line.
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(names))
        listing.flush()
        command = [sys.executable, PROGRAM, "--read", listing.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        watch = _Watch(process, seconds)
        begun, name = 0, ""
        for line in process.stdout:
            if begun < len(names) and line.rstrip("\n") == names[begun]:
                watch.begin_file()
                name, begun = names[begun], begun + 1
                continue
            watch.end_file()
            outcome, taken, peak = line.split()
            result.outcomes[name], result.seconds[name] = outcome, float(taken)
            result.megabytes = max(result.megabytes, float(peak))
            if float(peak) > MEGABYTES:
                result.outcomes[name] = "too large"
                break
        process.kill()
        process.wait()
        watch.join()
    if name not in result.outcomes:
        result.seconds[name] = watch.taken
        result.outcomes[name] = "hung" if watch.has_killed else "crashed"
    return begun


class _Watch(threading.Thread):
    """Kills a process when a file takes too long.

    On a busy machine a process waits for others: its own time counts, and, for one that waits for ever, six
    times as much on the clock.
    """

    def __init__(self, process: subprocess.Popen, seconds: float) -> None:
        super().__init__(daemon=True)
        self.process, self.seconds = process, seconds
        self.has_killed, self.taken, self.began = False, 0.0, None
        self.start()

    def begin_file(self) -> None:
        self.began = self._processor_seconds(), time.monotonic()

    def end_file(self) -> None:
        self.began = None

    def run(self) -> None:
        while self.process.poll() is None:
            time.sleep(0.2)
            if (began := self.began) is None:
                continue
            self.taken = self._processor_seconds() - began[0]
            if self.taken > self.seconds or time.monotonic() - began[1] > 6 * self.seconds:
                self.has_killed = True
                self.process.kill()

    def _processor_seconds(self) -> float:
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = status.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def write_files(folder: pathlib.Path, count: int, seed: int) -> list[pathlib.Path]:
    """Writes `count` damaged files and every bomb into a folder.

    Args:
        folder: an existing folder.
        count: damaged files, over all formats in turn.
        seed: of the damage.
    """
    sys.path.insert(0, str(REFERENCES))
    import bombs
    import mutated_images

    damaged = folder / "mutated"
    damaged.mkdir()
    mutated_images.write_broken(damaged, count, seed=seed)
    for name, contents in bombs.bombs().items():
        (folder / f"bomb_{name}").write_bytes(contents)
    return sorted(damaged.iterdir()) + sorted(folder.glob("bomb_*"))


def main() -> None:
    """Writes the files, reads them, and prints the table; the exit status is 1 if a file broke a process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read_files(pathlib.Path(arguments.read).read_text().split("\n"))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = attack(write_files(pathlib.Path(folder), arguments.count, arguments.seed))
        for name in result.broken:
            kept = shutil.copy(name, tempfile.gettempdir())
            print(f"{result.outcomes[name]}: {kept}")
    print(result.table())
    sys.exit(bool(result.broken))


if __name__ == "__main__":
    main()
