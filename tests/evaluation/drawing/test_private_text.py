"""Reports and cards show neither absolute paths nor the user's name."""

import pytest

from semenet.evaluation.drawing import private_text
from semenet.evaluation.drawing.private_text import shown_command, shown_path, shown_text


@pytest.fixture(autouse=True)
def user(monkeypatch):
    monkeypatch.setattr(private_text.getpass, "getuser", lambda: "jane")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            "/home/jane/venv/bin/semenet evaluate '/home/jane doe/run a' --manifest=/data/m.csv",
            ".../semenet evaluate '.../run a' --manifest=.../m.csv",
        ),
        ("semenet evaluate runs/jane/a --by a,/x/b", "semenet evaluate runs/USER/a --by a,.../b"),
        ('python x.py --classes "a b" --out ../y', 'python x.py --classes "a b" --out ../y'),
        ("semenet list unet:lung https://jane.example/a", "semenet list unet:lung https://jane.example/a"),
        ("an open ' quote /home/jane/x", "an open ' quote .../x"),
    ],
)
def test_a_command_keeps_names_alone(command, shown):
    assert shown_command(command) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Received: /home/jane/a/b.png, which", "Received: .../b.png, which"),
        ("'/home/jane doe/x y.png': damaged", "'.../x y.png': damaged"),
        ("C:\\Users\\jane\\x.png and ~/a/b (/tmp/x)", ".../x.png and .../b (.../x)"),
        ("1/2 and/or https://x/y a/b </td>", "1/2 and/or https://x/y a/b </td>"),
        ("scans/jane/1.png of jane", "scans/USER/1.png of jane"),
    ],
)
def test_a_text_keeps_names_alone(text, shown):
    assert shown_text(text) == shown


def test_a_path_keeps_its_name_alone():
    shown = {
        "/home/jane/a b/c": ".../c",
        "runs/jane/x": "runs/USER/x",
        "runs/janet/x": "runs/janet/x",
        "unet:lung": "unet:lung",
        "/a/": ".../a",
        "D:\\x\\y": ".../y",
    }
    assert {path: shown_path(path) for path in shown} == shown


def test_a_user_without_a_name_is_possible(monkeypatch):
    def fail():
        raise KeyError("uid not found")

    monkeypatch.setattr(private_text.getpass, "getuser", fail)
    assert shown_path("runs/jane/x") == "runs/jane/x"
