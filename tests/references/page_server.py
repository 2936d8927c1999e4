"""A server in a thread of the test, with the page of `semenet serve`, and a model of three tiny networks."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from hand_made_networks import brightness_network, calibrate_by_hand, threshold_unet

from semenet.serving.cascade.cascade import Cascade
from semenet.serving.exports.saved_model import export
from semenet.serving.server.app import Service, create_app
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.served_model import ServedModel

PATIENCE = 60


def export_tiny_cascade(folder: Path) -> Path:
    """Exports a cascade that has a gate and answers from the mean grey level."""
    one = brightness_network(folder / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02])
    abstain = {"target_accuracy": 0.9, "confidence": 0.6, "coverage": 1.0, "accuracy": 1.0}
    calibrate_by_hand(one, 1.0, abstain)
    unet = threshold_unet(folder / "unet.keras")
    stage2 = ("other_viral", "COVID-19")
    two = brightness_network(folder / "two.keras", stage2, [0.0, 0.05], size=(32, 56), alone=True)
    return export(Cascade(one, unet, two).save(folder / "cascade"), folder / "saved")


@contextlib.contextmanager
def serving(model: ServedModel, token: str | None = None, **options: object) -> Iterator[str]:
    """Serves a model on a free port; yields its address."""
    service = Service(model, ServerOptions(port=0, **options), token)
    config = uvicorn.Config(create_app(service), port=0, log_level="error", loop="asyncio", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    due = time.monotonic() + PATIENCE
    while not server.started:
        assert time.monotonic() < due, "the server did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
