"""The public API is seen by editors and type checkers, and loads nothing before it is used."""

import subprocess
import sys
import textwrap

import jedi
import pytest

import semenet

SCRIPT = """
import pathlib

import semenet

model = semenet.build("seme_resnet50", classes=("normal", "pneumonia"), input_shape=(None, None, 1))
reveal_type(semenet.list_models("seme_*"))
reveal_type(semenet.read_image(pathlib.Path("film.png")))
reveal_type(semenet.read_manifest("manifest.csv"))
reveal_type(semenet.predict("run", "film.png"))
semenet.build(3)
semenet.bild("unet")
"""


def test_tab_completion_offers_the_public_names():
    offered = {completion.name for completion in jedi.Script("import semenet\nsemenet.").complete(2, 8)}
    assert set(semenet.__all__) <= offered
    assert set(semenet.__all__) <= set(dir(semenet))


@pytest.mark.parametrize("name", ["build", "predict", "Cascade", "read_image"])
def test_an_editor_shows_the_signature_of_a_public_name(name):
    text = f"import semenet\nsemenet.{name}("
    (signature, *_) = jedi.Script(text).get_signatures(2, len(f"semenet.{name}("))
    assert signature.name == name
    assert signature.params
    assert signature.docstring()


@pytest.mark.slow
def test_mypy_checks_a_script_against_the_public_names(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [
            *[sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports"],
            *["--cache-dir", tmp_path / "cache", script],
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    lines = result.stdout.splitlines()
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed type" in line]
    assert "list[" in revealed[0]
    assert "ndarray" in revealed[1]
    assert "Manifest" in revealed[2] or "DataFrame" in revealed[2]
    errors = [line for line in lines if ": error:" in line]
    assert len(errors) == 2, result.stdout
    assert 'Argument 1 to "build" has incompatible type "int"' in errors[0]
    assert 'has no attribute "bild"' in errors[1]


def test_importing_a_room_loads_no_tensorflow():
    script = textwrap.dedent(
        """
        import sys, semenet
        for room in ("data", "models", "metrics", "training", "inference", "evaluation", "serving"):
            dir(getattr(semenet, room))
        heavy = {"tensorflow", "keras", "matplotlib", "cv2", "pandas", "sklearn"} & set(sys.modules)
        assert not heavy, heavy
        """
    )
    subprocess.run([sys.executable, "-c", script], check=True)
