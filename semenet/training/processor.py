"""The processor: its name, and the instructions that it has for bfloat16."""

import pathlib
import platform
import subprocess

_CPUINFO = pathlib.Path("/proc/cpuinfo")
# Names in Linux's /proc/cpuinfo: x86 vectors, x86 matrix tiles, and ARM.
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")


def processor_name() -> str:
    """Returns the processor's name from Linux's /proc/cpuinfo, elsewhere from `platform`."""
    names = _cpuinfo_values("model name")
    return names[0] if names else platform.processor()


def bfloat16_instructions() -> tuple[str, ...]:
    """Returns the instructions that the processor has for bfloat16.

    Linux lists them in /proc/cpuinfo, and macOS answers `sysctl`. Other systems are not asked.

    Returns:
        Names among "avx512_bf16", "amx_bf16" and "bf16" (ARM); empty if there are none, or if the system does
        not tell.
    """
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "hw.optional.arm.FEAT_BF16"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
        except (OSError, subprocess.SubprocessError):
            # A processor by Intel does not know the name.
            return ()
        return ("bf16",) if answer.strip() == "1" else ()
    lines = _cpuinfo_values("flags") or _cpuinfo_values("Features")
    flags = lines[0].split() if lines else []
    return tuple(name for name in _BFLOAT16 if name in flags)


def _cpuinfo_values(name: str) -> list[str]:
    """Returns the values of a name, one for each processor; empty outside Linux."""
    if not _CPUINFO.exists():
        return []
    pairs = (line.split(":", 1) for line in _CPUINFO.read_text().splitlines() if ":" in line)
    return [value.strip() for key, value in pairs if key.strip() == name]
