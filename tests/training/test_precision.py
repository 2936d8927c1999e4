import pathlib
import subprocess

import pytest

from semenet.training import processor
from semenet.training.precision import choose_precision, cpu_precision
from semenet.training.processor import bfloat16_instructions, processor_name

# Two processors each, shortened.
GENOA = """processor\t: 0
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse avx avx2 avx512f avx512_bf16 avx512_vnni

processor\t: 1
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse avx avx2 avx512f avx512_bf16 avx512_vnni
"""
SAPPHIRE_RAPIDS = "model name\t: Intel(R) Xeon(R)\nflags\t: avx512f avx512_bf16 amx_bf16 amx_tile\n"
ROME = "model name\t: AMD EPYC 7R32\nflags\t\t: fpu sse avx avx2 bf16_not_quite\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16\nCPU part\t: 0xd40\n"


def linux(monkeypatch, tmp_path, text):
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", pathlib.Path(path))
    monkeypatch.setattr(processor.platform, "system", lambda: "Linux")


@pytest.mark.parametrize(
    ("text", "instructions"),
    [
        (GENOA, ("avx512_bf16",)),
        (SAPPHIRE_RAPIDS, ("avx512_bf16", "amx_bf16")),
        (ROME, ()),
        (GRAVITON, ("bf16",)),
        ("", ()),
        (None, ()),
    ],
)
def test_linux_lists_the_instructions(monkeypatch, tmp_path, text, instructions):
    linux(monkeypatch, tmp_path, text)
    assert bfloat16_instructions() == instructions


def test_the_name_of_the_processor(monkeypatch, tmp_path):
    linux(monkeypatch, tmp_path, GENOA)
    assert processor_name() == "AMD EPYC 9R14"


@pytest.mark.parametrize(("answer", "instructions"), [("1\n", ("bf16",)), ("0\n", ()), (None, ())])
def test_macos_answers_sysctl(monkeypatch, answer, instructions):
    def sysctl(command, **arguments):
        assert command == ["sysctl", "-n", "hw.optional.arm.FEAT_BF16"]
        if answer is None:
            raise subprocess.CalledProcessError(1, command)
        return subprocess.CompletedProcess(command, 0, stdout=answer)

    monkeypatch.setattr(processor.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(processor.subprocess, "run", sysctl)
    assert bfloat16_instructions() == instructions


@pytest.mark.parametrize(
    ("entry", "instructions", "policy", "reason"),
    [
        ("seme_resnet50", ("avx512_bf16",), "mixed_bfloat16", "avx512_bf16"),
        ("seme_densenet169", ("avx512_bf16", "amx_bf16"), "mixed_bfloat16", "amx_bf16"),
        ("vgg19", (), "float32", "no instructions"),
        ("vgg19", ("bf16",), "float32", "not measured"),
        ("unet", ("avx512_bf16",), "float32", "unet in bfloat16 was not measured"),
    ],
)
def test_bfloat16_is_taken_where_it_was_measured_to_be_faster(entry, instructions, policy, reason):
    choice = cpu_precision(entry, instructions)
    assert choice.policy == policy
    assert reason in choice.reason


def test_a_resumed_run_keeps_its_precision(monkeypatch, tmp_path):
    linux(monkeypatch, tmp_path, GENOA)
    assert choose_precision("auto", "vgg19").policy == "mixed_bfloat16"
    assert choose_precision("auto", "vgg19", {"precision": "float32"}).policy == "float32"
    assert choose_precision("mixed_float16", "vgg19", {"precision": "float32"}).policy == "mixed_float16"
