"""Times the operations on a manifest of a million rows before the first image is read.

Usage: python tools/bench/manifest.py [--rows 1000000] [--patients 400000] [--seed 0]

The manifest is generated in a temporary folder. Its images do not exist, because no step reads them.
"""

import contextlib
import pathlib
import tempfile
import time

import tyro


def main(rows: int = 1_000_000, patients: int = 400_000, seed: int = 0) -> None:
    """Prints the seconds of each step.

    Args:
        rows: Number of rows.
        patients: Number of different patients.
        seed: Seed of the number of images per patient, and of the split.
    """
    from semenet.data.manifest.splitting import split_patients
    from semenet.data.manifest.table import check_patients, read_manifest, write_manifest

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "manifest.csv"
        with timed("write_manifest"):
            write_manifest(generated_rows(rows, patients, seed), path)
        with timed("read_manifest"):
            manifest = read_manifest(path)
        with timed("check_patients"):
            check_patients(manifest)
        with timed("split_patients"):
            splits = split_patients(manifest.rows, seed=seed)
    table = manifest.rows["label"].groupby([manifest.rows["label"], splits]).size().unstack()
    print(f"\n{rows:,} rows, {patients:,} patients; images by label and drawn split:\n{table.to_string()}")


def generated_rows(rows, patients, seed):
    """Returns a manifest as a DataFrame, with three labels, each patient in one split."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, rows - patients)])
    return pd.DataFrame(
        {
            "file": [f"images/{row // 1000:04d}/{row:07d}.png" for row in range(rows)],
            "label": np.array(["normal", "bacteria", "virus"])[patient % 3],
            "patient": [f"p{number:06d}" for number in patient],
            "split": np.array(["train"] * 7 + ["val", "test", "test"])[patient // 3 % 10],
        }
    )


@contextlib.contextmanager
def timed(step):
    """Prints the duration of a step."""
    began = time.perf_counter()
    yield
    print(f"{step:16} {time.perf_counter() - began:6.2f} s", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
