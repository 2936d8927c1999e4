import keras
import numpy as np
import pytest

import semenet
from semenet.training.checkpoint import CheckpointError, restore_state, save_state


def compiled(width=0.125, entry="moex_resnet50"):
    model = semenet.build(entry, input_shape=(32, 32, 1), width=width, depth=0.01)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "categorical_crossentropy")
    return model


def steps(model, number):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (8, 32, 32, 1)), np.eye(3)[rng.integers(0, 3, 8)]
    return [float(model.train_on_batch(x, y)) for _ in range(number)]


@pytest.mark.slow
def test_a_restored_run_goes_on_bit_for_bit_with_its_moex_draws(tmp_path):
    model = compiled()
    steps(model, 3)
    save_state(tmp_path / "state.npz", model, {"history": [{"epoch": 1, "loss": 0.5}]})
    expected = steps(model, 6)

    keras.utils.set_random_seed(99)
    other = compiled()
    assert restore_state(tmp_path / "state.npz", other) == {"history": [{"epoch": 1, "loss": 0.5}]}
    assert steps(other, 6) == expected
    for mine, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_another_network_s_state_is_refused(tmp_path):
    save_state(tmp_path / "state.npz", compiled(), {})
    with pytest.raises(CheckpointError, match="fits the network.*Received"):
        restore_state(tmp_path / "state.npz", compiled(width=0.25))


def test_a_broken_file_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    model = compiled()
    save_state(path, model, {})
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"nonsense"):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"complete file.*state\.npz"):
            restore_state(path, model)


def test_a_failed_write_leaves_the_last_good_state(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    model = compiled()
    save_state(path, model, {"number": 1})

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_state(path, model, {"number": 2})
    monkeypatch.undo()
    assert restore_state(path, model) == {"number": 1}
