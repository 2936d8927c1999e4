"""The attacks on the server are what they say, without a server."""

import json

import numpy as np
import pytest

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image


def test_each_attack_is_small_and_the_damaged_files_are_damaged(tool):
    requests = tool("attack/hostile_requests")
    image = np.random.default_rng(0).integers(0, 256, (64, 64), "uint8")
    names = {attack.name: attack for attack in requests.attacks(image)}
    assert len(names) == 30
    assert all(
        400 in attack.statuses or attack.statuses[0] in (200, 403, 413, 415) for attack in names.values()
    )
    sixteen = json.loads(names["16 PNGs of 10,000 x 10,000 pixels"].body())["instances"]
    assert len(sixteen) == 16
    assert len(sixteen[0]["b64"]) < 200_000
    bodies = requests.mutated(image, 12)
    assert len(set(bodies)) == 12
    assert bodies == requests.mutated(image, 12)
    with pytest.raises(ImageError):
        read_image(requests._rle_bomb())
