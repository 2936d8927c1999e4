import importlib.metadata
import importlib.util

import pytest

from semenet.cli import doctor, environment_checks


def test_two_distributions_of_opencv_are_a_warning(monkeypatch, capsys):
    found = {"cv2": ["opencv-python-headless", "opencv-python", "opencv-python"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: found)
    names = environment_checks.opencv_distributions()
    assert names == ["opencv-python", "opencv-python-headless"]
    doctor.print_installation()
    output = capsys.readouterr().out
    assert "warning: OpenCV is installed 2 times: opencv-python, opencv-python-headless share" in output
    assert "pip uninstall -y opencv-python opencv-python-headless, then pip install opencv-" in output


@pytest.mark.parametrize("names", [[], ["opencv-python-headless"]])
def test_one_distribution_is_fine(names):
    assert environment_checks.opencv_warning(names) is None


def test_a_missing_runtime_names_its_extra(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "openvino" else find(name, *rest)
    )
    present, missing = environment_checks.runtimes()
    assert "TensorFlow" in present
    assert "OpenVINO (pip install 'semenet[openvino]')" in missing
    assert "OpenVINO" not in present


@pytest.mark.parametrize(
    ("gpus", "instructions", "bfloat16"),
    [
        (1, (), "mixed_bfloat16 (GPU)"),
        (0, ("avx512_bf16",), "mixed_bfloat16 (this CPU has avx512_bf16)"),
        (0, (), "mixed_bfloat16 (this CPU has no instructions for it: slower)"),
    ],
)
def test_the_precisions_say_what_they_gain(monkeypatch, gpus, instructions, bfloat16):
    monkeypatch.setattr(environment_checks, "bfloat16_instructions", lambda: instructions)
    assert environment_checks.precisions(gpus)[:2] == ["float32", bfloat16]
