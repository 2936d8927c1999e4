"""A real Orthanc with its DICOMweb plugin on loopback, from Debian's packages; .ci/run installs them."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

USER, PASSWORD = "reader", "secret"
PLUGIN = pathlib.Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextlib.contextmanager
def running_orthanc(folder: pathlib.Path) -> Iterator[str]:
    """Runs an archive that keeps its files in a folder; yields the address of its DICOMweb services."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "files"),
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/dicom-web"
        _wait(process, url, folder / "log.txt")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen, url: str, log: pathlib.Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/studies", timeout=5)
        except urllib.error.HTTPError as error:
            # It asks for credentials: it is there.
            if error.code == 401:
                return
            raise
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Orthanc does not answer: {log.read_text()}")
