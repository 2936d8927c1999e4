"""Builds the wheel semenet-zoo, which holds all published weights, for machines without a network.

Usage: python tools/zoo/build_wheel.py [--zoo zoo] [--out dist]

    pip install semenet-*.whl semenet_zoo-*.whl

The wheel's entry point of the group `semenet.zoo` names its package, where semenet looks for weights. The
wheel does not require semenet, so that pip never looks for it on a package index. Every file is verified
first. Equal weights give an equal file.
"""

import base64
import hashlib
import pathlib
import zipfile

import tyro

import semenet
from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.models.weights.described_set import read_published, verify_files
from semenet.models.weights.places import ENTRY_POINTS, METADATA
from semenet.storage.atomic import output_file, replacing

PACKAGE = "semenet_zoo"
DISTRIBUTION = "semenet-zoo"
# The earliest time that a ZIP file can hold: the contents alone decide what the wheel is.
_TIME = (1980, 1, 1, 0, 0, 0)


def main(arguments=None):
    """Builds the wheel."""
    with report_errors():
        print(tyro.cli(build_wheel, args=arguments, description=__doc__))


def build_wheel(
    zoo: pathlib.Path = pathlib.Path("zoo"), out: pathlib.Path = pathlib.Path("dist")
) -> pathlib.Path:
    """Builds the wheel.

    Args:
        zoo: Folder of the zoo. Its sets with weights are packed, with their cards.
        out: Folder that the wheel is written into.
    """
    sets = [read_published(path) for path in sorted(zoo.glob(f"*/*/{METADATA}"))]
    sets = [published for published in sets if published.weights is not None]
    if not sets:
        raise SemenetError(
            f"A zoo must hold weights in ENTRY/NAME/{METADATA}. Received: {zoo} without any. Give the folder "
            "zoo of the repository."
        )
    for published in sets:
        verify_files(published)
    name = f"{PACKAGE}-{semenet.__version__}"
    path = output_file(out / f"{name}-py3-none-any.whl")
    files = {
        f"{PACKAGE}/{published.entry}/{published.name}/{file.name}": file
        for published in sets
        for file in sorted(published.folder.iterdir())
        if file.name in (METADATA, "card.md", *published.files)
    }
    texts = {
        f"{PACKAGE}/__init__.py": '"""The published weights of semenet."""\n',
        f"{name}.dist-info/METADATA": _metadata(sets),
        f"{name}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: semenet\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{name}.dist-info/entry_points.txt": f"[{ENTRY_POINTS}]\n{DISTRIBUTION} = {PACKAGE}\n",
    }
    record = f"{name}.dist-info/RECORD"
    lines = []
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as wheel:
        contents = [(file, source.read_bytes()) for file, source in files.items()]
        contents += [(file, text.encode()) for file, text in texts.items()]
        for file, content in contents:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{file},sha256={digest},{len(content)}")
            _write(wheel, file, content)
        _write(wheel, record, "\n".join([*lines, f"{record},,", ""]).encode())
    return path


def _metadata(sets):
    """Returns the core metadata of the distribution, with a table of the weights and their licences."""
    rows = [
        f"- {published.label}: {published.metadata.get('license', 'licence not stated')}"
        for published in sets
    ]
    licences = sorted({published.metadata.get("license", "see its card") for published in sets})
    return "\n".join(
        [
            "Metadata-Version: 2.1",
            f"Name: {DISTRIBUTION}",
            f"Version: {semenet.__version__}",
            "Summary: The published weights of semenet",
            f"License: {'; '.join(licences)}",
            "Requires-Python: >=3.11",
            "Description-Content-Type: text/markdown",
            "",
            "The published weights of semenet. Research use only: not a medical device.",
            "",
            *rows,
            "",
        ]
    )


def _write(wheel, name, content):
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    wheel.writestr(info, content, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
