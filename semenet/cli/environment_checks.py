"""What an environment offers and what is wrong with it, for `semenet doctor`."""

import importlib.metadata
import importlib.util
from collections.abc import Iterable

from semenet.training.processor import bfloat16_instructions

# How a network can be computed: the module that does it, and the extra that installs it ("" for the core).
RUNTIMES = {
    "TensorFlow": ("tensorflow", ""),
    "JAX": ("jax", "jax"),
    "ONNX Runtime": ("onnxruntime", "onnx"),
    "OpenVINO": ("openvino", "openvino"),
    "LiteRT": ("ai_edge_litert", "litert"),
    "semenet serve": ("fastapi", "serve"),
}


def opencv_distributions() -> list[str]:
    """Returns the installed distributions that contain OpenCV, such as opencv-python-headless."""
    return sorted(set(importlib.metadata.packages_distributions().get("cv2", [])))


def opencv_warning(distributions: Iterable[str]) -> str | None:
    """Returns what is wrong if several distributions of OpenCV are installed.

    They write to the same folder, cv2: the files of one replace those of another, and to uninstall one
    removes files of the other.

    Args:
        distributions: as from `opencv_distributions`.

    Returns:
        The warning with its remedy, or None.
    """
    names = list(distributions)
    if len(names) < 2:
        return None
    return (
        f"OpenCV is installed {len(names)} times: {', '.join(names)} share the folder cv2, so the files "
        "of one replace those of the other, and to remove one breaks the other. Run pip uninstall -y "
        f"{' '.join(names)}, then pip install opencv-python-headless."
    )


def runtimes() -> tuple[list[str], list[str]]:
    """Returns the runtimes that are installed, and the others with the command that installs each."""
    present, missing = [], []
    for name, (module, extra) in RUNTIMES.items():
        if importlib.util.find_spec(module) is not None:
            present.append(name)
        else:
            missing.append(f"{name} (pip install 'semenet[{extra}]')" if extra else name)
    return present, missing


def precisions(gpus: int) -> list[str]:
    """Returns the numeric policies that this machine can train in, each with what it gains.

    Args:
        gpus: number of GPUs.
    """
    instructions = bfloat16_instructions()
    if gpus:
        bfloat16 = "mixed_bfloat16 (GPU)"
    elif instructions:
        bfloat16 = f"mixed_bfloat16 (this CPU has {' and '.join(instructions)})"
    else:
        bfloat16 = "mixed_bfloat16 (this CPU has no instructions for it: slower)"
    float16 = "mixed_float16 (GPU)" if gpus else "mixed_float16 (for GPUs; slower on a CPU)"
    return ["float32", bfloat16, float16]
