import shutil
import subprocess

import pytest

from semenet.cli.main import main

# Calls the function that bash calls when the Tab key is pressed, and prints what it offers.
PRESS_TAB = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_semenet
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(["--print-completion", "bash"])
    path = tmp_path_factory.mktemp("completion") / "semenet.bash"
    path.write_text(stream.getvalue())
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pred"], ["predict"]),
        (["data", "conta"], ["contains"]),
        (["data", "split", "--sha"], ["--shares"]),
        (["weights", ""], ["list", "get", "verify", "push"]),
        (["train", "vgg19_g"], ["vgg19_gap"]),
        (["train", "seme_resnet50", "--learning"], ["--learning-rate"]),
        (["train", "vgg19", "--preset", "m"], ["modern"]),
        (["evaluate", "run", "--on-error", ""], ["raise", "skip"]),
        (["evaluate", "run", "--map-m"], ["--map-method"]),
        # The shell goes on with files.
        (["evaluate", "no_such_ru"], []),
    ],
)
def test_bash_completes(script, words, offered):
    command = ["bash", "--norc", "-c", PRESS_TAB, "bash", str(script), "semenet", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert result.stdout.split() == offered


def test_zsh_gets_the_same_function(script, capsys):
    main(["--print-completion", "zsh"])
    output = capsys.readouterr().out
    assert output.startswith("autoload -U +X compinit")
    assert output.endswith(script.read_text())


@pytest.mark.parametrize("shells", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_an_error(capsys, shells):
    with pytest.raises(SystemExit):
        main(["--print-completion", *shells])
    assert "semenet: " in capsys.readouterr().err
