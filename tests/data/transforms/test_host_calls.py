"""A process exits with its own status, whatever its datasets are doing."""

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
def test_a_dataset_that_still_fills_its_buffers_does_not_keep_the_process_alive(tmp_path):
    # Large enough for batches to be in progress when the process exits.
    image = np.random.default_rng(0).integers(0, 256, (700, 700), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    for _ in range(3):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "a.png")]
        # A process that hangs does so forever; starting TensorFlow takes minutes on a very busy machine.
        finished = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert "leaving" in finished.stdout, finished.stderr
        assert finished.returncode == 7, finished.stderr
