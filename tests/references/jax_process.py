"""The environment of a process that computes on JAX."""

import os


def jax_environment(*flags: str, **variables: str) -> dict[str, str]:
    """Returns this process's environment with JAX as backend, and quick compilation.

    Small networks compile for longer than they run. XLA therefore leaves out the optimisation of machine
    code, and conftest.py lets all processes of a test run share what they compiled.

    Args:
        *flags: further options of XLA.
        **variables: further environment variables.
    """
    flags = ("--xla_backend_optimization_level=0", *flags)
    return os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": " ".join(flags)} | variables
