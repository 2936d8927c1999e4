"""Times the pipeline and its peers alternately in one run: decode, resize, CLAHE, rotation, batch.

    python tools/bench/pipeline.py --manifest dataset1_hires/manifest.csv [--acquisition 0.4 --size 128]

Each pipeline reads all images of the manifest, resizes them to one size, applies CLAHE (clip limit 2.0, 8 x 8
tiles), rotates them by a random angle within ±30 degrees, and returns batches of uint8, with one worker per
core. If every row has a lung mask, semenet is timed with the lungs' box and standard grey levels too. In each
round the pipelines run one after another; the result is the median ratio over the rounds. PyTorch with
albumentations is included if installed; semenet does not depend on them.

With --acquisition, only semenet's pipeline is timed, from a cache in memory: without and with changes of
acquisition of that probability, in alternating epochs, and each change alone at a probability of 1.
"""

import concurrent.futures
import importlib.util
import itertools
import os
import pathlib
import resource
import statistics
import tempfile
import threading
import time

import cv2
import numpy as np
import rich.console
import rich.progress
import rich.table
import tensorflow as tf
import tyro

from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import training_dataset
from semenet.data.transforms.augmentation import ACQUISITION_CHANGES, Augmentation
from semenet.data.transforms.lung_view import LungView

# The number of threads that semenet uses.
WORKERS = os.cpu_count()
CLAHE = {"clipLimit": 2.0, "tileGridSize": (8, 8)}
ROTATION = 30
BATCH = 16
BOXED = LungView(box=True, standardize=True)


def semenet_pipeline(rows, size, cache=None, folder=None, epochs=1, view=LungView(), **changes):
    """Returns an iterator of semenet's batches, through tf.data, and the number of batches per epoch."""
    dataset, steps = training_dataset(
        rows,
        class_names=sorted(set(rows["label"])),
        input_size=(size, size),
        batch_size=BATCH,
        epochs=epochs,
        seed=0,
        augmentation=Augmentation(**{"clahe": 1.0, "rotation": ROTATION} | changes),
        view=view,
        cache=cache,
        cache_folder=folder,
    )
    return (images for images, _ in dataset), steps


def opencv_threads(rows, size, interpolation):
    """Yields batches made by OpenCV alone, one thread per batch."""
    paths = rows["path"].tolist()
    local = threading.local()

    def load(path, angle):
        if not hasattr(local, "clahe"):
            local.clahe = cv2.createCLAHE(**CLAHE)
        image = cv2.resize(cv2.imread(path, cv2.IMREAD_GRAYSCALE), (size, size), interpolation=interpolation)
        centre = ((size - 1) / 2, (size - 1) / 2)
        turn = cv2.getRotationMatrix2D(centre, angle, 1)
        return cv2.warpAffine(local.clahe.apply(image), turn, (size, size))

    def batch(start):
        part = paths[start : start + BATCH]
        angles = np.random.default_rng(start).uniform(-ROTATION, ROTATION, len(part))
        images = [load(path, angle) for path, angle in zip(part, angles, strict=True)]
        return np.stack(images)[..., np.newaxis]

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(batch, range(0, len(paths), BATCH))


class _Radiographs:
    """A PyTorch data set with OpenCV's decoding and albumentations' transforms."""

    def __init__(self, paths, size):
        import albumentations

        self.paths = paths
        self.transform = albumentations.Compose(
            [
                albumentations.Resize(size, size),
                albumentations.CLAHE(clip_limit=(2.0, 2.0), tile_grid_size=(8, 8), p=1),
                albumentations.Rotate(limit=ROTATION, border_mode=cv2.BORDER_CONSTANT, p=1),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        image = cv2.imread(self.paths[index], cv2.IMREAD_GRAYSCALE)
        return self.transform(image=image)["image"][np.newaxis]


def torch_loader(rows, size):
    """Yields batches of PyTorch's DataLoader with albumentations, in worker processes."""
    import torch.utils.data

    images = _Radiographs(rows["path"].tolist(), size)
    yield from torch.utils.data.DataLoader(images, BATCH, num_workers=WORKERS)


def timed(batches, count):
    """Returns the images per second of an iterator that yields `count` images in total."""
    start = time.perf_counter()
    seen = sum(len(batch) for batch in batches)
    if seen != count:
        raise RuntimeError(f"A pipeline returned {seen} images instead of {count}.")
    return count / (time.perf_counter() - start)


def has_masks(rows):
    """Whether every row has a lung mask."""
    return "mask_path" in rows and (rows["mask_path"] != "").all()


def pipelines(size, boxed):
    """Returns a dict from the name of a pipeline to a function of rows."""
    found = {"semenet": lambda rows: semenet_pipeline(rows, size)[0]}
    if boxed:
        found["semenet, lungs' box"] = lambda rows: semenet_pipeline(rows, size, view=BOXED)[0]
    found |= {
        "OpenCV, INTER_LINEAR": lambda rows: opencv_threads(rows, size, cv2.INTER_LINEAR),
        "OpenCV, INTER_AREA": lambda rows: opencv_threads(rows, size, cv2.INTER_AREA),
    }
    missing = [name for name in ("torch", "albumentations") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"PyTorch's DataLoader with albumentations is skipped: {', '.join(missing)} not installed.")
    else:
        found["PyTorch + albumentations"] = lambda rows: torch_loader(rows, size)
    return found


def compare(rows, size, rounds):
    """Prints the images per second of each pipeline, and the ratio of semenet to it."""
    runs = pipelines(size, has_masks(rows))
    speeds = {name: [] for name in runs}
    for _ in rich.progress.track(range(rounds), "Rounds", console=rich.console.Console(stderr=True)):
        for name, run in runs.items():
            speeds[name].append(timed(run(rows), len(rows)))
    table = rich.table.Table("pipeline", "images/s, median", "minimum", "maximum", "semenet / it", box=None)
    for name, values in speeds.items():
        ratios = [own / other for own, other in zip(speeds["semenet"], values, strict=True)]
        columns = (statistics.median(values), min(values), max(values))
        table.add_row(name, *(f"{value:.0f}" for value in columns), f"{statistics.median(ratios):.2f}")
    rich.console.Console().print(table)


def measure_caches(rows, size):
    """Prints the speed and the memory use of each epoch, for each kind of cache."""
    with tempfile.TemporaryDirectory() as folder:
        caches = ((None, None), ("memory", None), ("disk", folder))
        views = {"": LungView()} | ({", lungs' box": BOXED} if has_masks(rows) else {})
        for (cache, place), (name, view) in itertools.product(caches, views.items()):
            batches, steps = semenet_pipeline(rows, size, cache, place, epochs=4, view=view)
            speeds, memory = [], []
            for _ in range(4):
                start = time.perf_counter()
                for _ in range(steps):
                    next(batches)
                speeds.append(f"{len(rows) / (time.perf_counter() - start):.0f}")
                memory.append(f"{_resident_mebibytes():.0f}")
            resident = ", ".join(memory)
            print(f"cache {cache}{name}: images/s by epoch {', '.join(speeds)}; MiB resident {resident}")


def measure_acquisition(rows, size, probability, rounds):
    """Prints the speed without and with changes of acquisition, and what each change costs alone."""
    cases = {"none": {}, f"all, {probability:g}": {"acquisition": probability}}
    cases |= {name: {"acquisition": 1.0, "acquisition_changes": (name,)} for name in ACQUISITION_CHANGES}
    epochs, runs = rounds + 1, {}
    for name, changes in cases.items():
        settings = {"clahe": 0.0, "rotation": 10} | changes
        batches, steps = semenet_pipeline(rows, size, "memory", epochs=epochs, **settings)
        runs[name] = batches
    seconds = {name: [] for name in runs}
    for _ in rich.progress.track(range(epochs), "Epochs", console=rich.console.Console(stderr=True)):
        for name, batches in runs.items():
            start = time.perf_counter()
            for _ in range(steps):
                next(batches)
            seconds[name].append(time.perf_counter() - start)
    base = seconds["none"][1:]
    for name, values in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(base, values[1:], strict=True))
        speed = len(rows) / statistics.median(values[1:])
        extra = statistics.median(one - other for one, other in zip(values[1:], base, strict=True))
        print(
            f"{name}: {speed:.0f} images/s, {ratio:.2f} of the speed without; "
            f"{1000 * WORKERS * extra / len(rows):.2f} ms of a processor per image"
        )


def _resident_mebibytes():
    statm = pathlib.Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main(
    manifest: pathlib.Path,
    size: int = 512,
    rounds: int = 5,
    images: int | None = None,
    acquisition: float = 0.0,
) -> None:
    """Compares the pipeline with its peers.

    Args:
        manifest: CSV of radiographs; all splits are read.
        size: Height and width after resizing, in pixels.
        rounds: How often each pipeline reads all images. The first round also warms the disk cache.
        images: Number of images to read; None for all.
        acquisition: Probability of each change of acquisition; 0 compares with other pipelines instead.
    """
    rows = read_manifest(manifest).rows.iloc[:images]
    print(f"{len(rows)} images to {size} x {size}, batches of {BATCH}, {os.cpu_count()} processors")
    for path in rows["path"]:
        pathlib.Path(path).read_bytes()
    cv2.setNumThreads(1)
    tf.config.set_visible_devices([], "GPU")
    if acquisition:
        measure_acquisition(rows, size, acquisition, rounds)
        return
    compare(rows, size, rounds)
    measure_caches(rows, size)


if __name__ == "__main__":
    tyro.cli(main)
