"""The model of the tests of the page, which a worker exports once."""

import pytest
from page_server import export_tiny_cascade

from semenet.serving.server.served_model import ServedModel


@pytest.fixture(scope="session")
def cascade_folder(tmp_path_factory):
    """The folder of a tiny cascade; its export lies beside it."""
    return export_tiny_cascade(tmp_path_factory.mktemp("page")).with_name("cascade")


@pytest.fixture(scope="session")
def cascade_model(cascade_folder):
    return ServedModel(cascade_folder.with_name("saved"), "chest")
