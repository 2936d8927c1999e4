"""A process ends by itself, with its own status, whatever its datasets were doing."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

SCRIPT = """
import sys
import pandas as pd
from semenet.data.pipeline.datasets import training_dataset

rows = pd.DataFrame({"label": "a", "path": [sys.argv[1]] * 400})
dataset, _ = training_dataset(
    rows, class_names=("a",), input_size=(256, 256), batch_size=16, epochs=1, seed=0
)
reader = iter(dataset)
next(reader)
print("leaving", flush=True)
sys.exit(7)
"""


@pytest.mark.slow
def test_a_dataset_that_is_still_being_filled_does_not_keep_the_process(tmp_path):
    # Large enough for batches to be under way when the process ends.
    image = np.random.default_rng(0).integers(0, 256, (700, 700), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    for _ in range(3):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "a.png")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "leaving" in ended.stdout, ended.stderr
        assert ended.returncode == 7, ended.stderr
