"""The precision that a run computes in, chosen by the processor and the network."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from semenet.models.entries import find_entry
from semenet.training.processor import bfloat16_instructions

# Measured in November 2026 on two cores of an AMD EPYC with avx512_bf16, at 224 pixels and batches of 8, with
# Keras' batch normalisation: mixed_bfloat16 trained 1.3, 1.1 and 1.9 times as many images/s as float32.
_MEASURED_BACKBONES = ("resnet50", "densenet169", "vgg19")
_MEASURED_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


@dataclasses.dataclass(frozen=True)
class Precision:
    """The precision of a run."""

    policy: str
    """Keras' numeric policy: "float32", "mixed_float16" or "mixed_bfloat16"."""
    reason: str
    """Why, to follow the word "because"."""


def choose_precision(precision: str, entry: str, record: dict[str, Any] | None = None) -> Precision:
    """Chooses the precision of a recipe; "auto" depends on the accelerator, the processor and the network.

    In mixed precision, weights, moments of the optimizer, losses and the statistics of batch normalisation
    stay in float32. On a CPU "auto" takes bfloat16 only if the CPU has instructions for it and training was
    measured to be faster on such a CPU with the network's backbone. A run that was started in float32 on a
    CPU is resumed in float32.

    Args:
        precision: the recipe's value: "auto", "float32", "mixed_float16" or "mixed_bfloat16".
        entry: the network's name in the catalogue.
        record: the content of run.json of the run that is resumed; None for a new run.

    Returns:
        The precision and the reason for it.
    """
    if precision != "auto":
        return Precision(precision, "the recipe states it")
    import keras
    import tensorflow as tf

    if keras.backend.backend() == "jax":
        if not keras.distribution.list_devices()[0].startswith("cpu"):
            return Precision("mixed_bfloat16", "all accelerators that JAX supports have bfloat16")
        return Precision("float32", "bfloat16 was not measured with JAX on a CPU")
    if gpus := tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        if capability >= (8, 0):
            return Precision("mixed_bfloat16", "the GPU has bfloat16")
        return Precision("mixed_float16", "the GPU has float16 but no bfloat16")
    if record is not None and record.get("precision") == "float32":
        return Precision("float32", "the run was started with it")
    return cpu_precision(entry, bfloat16_instructions())


def cpu_precision(entry: str, instructions: tuple[str, ...]) -> Precision:
    """Chooses the precision of a network on a CPU.

    Args:
        entry: the network's name in the catalogue.
        instructions: as from `bfloat16_instructions`.

    Returns:
        The precision and the reason for it.

    Example:
        >>> from semenet.training.precision import cpu_precision
        >>> cpu_precision("seme_resnet50", ("avx512_bf16",)).policy
        'mixed_bfloat16'
        >>> cpu_precision("unet", ("avx512_bf16",)).policy
        'float32'
    """
    if not instructions:
        return Precision("float32", "this CPU has no instructions for bfloat16")
    names = " and ".join(instructions)
    backbone = find_entry(entry).backbone
    if not set(instructions) & set(_MEASURED_INSTRUCTIONS):
        return Precision("float32", f"training with {names} in bfloat16 was not measured")
    if backbone not in _MEASURED_BACKBONES:
        return Precision("float32", f"training {entry} in bfloat16 was not measured on a CPU")
    return Precision("mixed_bfloat16", f"this CPU has {names}, with which {backbone} trains faster")


@contextlib.contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Sets Keras' numeric policy as long as the block lasts."""
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
