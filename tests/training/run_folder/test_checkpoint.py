import keras
import numpy as np
import pytest

import semenet
from semenet.training.run_folder.checkpoint import (
    CheckpointError,
    assign_state,
    read_state,
    save_state,
    state_of,
)


def compiled(width=0.125, entry="moex_resnet50"):
    model = semenet.build(entry, input_shape=(32, 32, 1), width=width, depth=0.01)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def values(variables):
    return [variable.numpy() for variable in variables]


def steps(model, number):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (8, 32, 32, 1)), np.eye(3)[rng.integers(0, 3, 8)]
    return [float(model.train_on_batch(x, y)) for _ in range(number)]


@pytest.mark.slow
def test_a_restored_run_continues_bit_for_bit_with_its_moex_draws(tmp_path):
    model = compiled()
    steps(model, 3)
    save_state(tmp_path / "state.npz", values(state_of(model, model)), {"history": [{"loss": 0.1}]})
    expected = steps(model, 6)

    keras.utils.set_random_seed(99)
    other = compiled()
    arrays, progress = read_state(tmp_path / "state.npz")
    assert progress == {"history": [{"loss": 0.1}]}
    assign_state(tmp_path / "state.npz", arrays, state_of(other, other))
    assert steps(other, 6) == expected
    for mine, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_state_of_another_network_raises(tmp_path):
    wide = compiled(width=0.25)
    with pytest.raises(CheckpointError, match="fits only the network.*Received"):
        assign_state(tmp_path / "state.npz", [np.zeros((1, 2))], state_of(wide, wide))


def test_a_damaged_file_raises(tmp_path):
    path = tmp_path / "state.npz"
    save_state(path, [np.ones(2)], {})
    content = path.read_bytes()
    np.save(tmp_path / "array.npy", np.ones(2))
    other = (tmp_path / "array.npy").read_bytes()
    for broken in (content[: len(content) // 2], b"", b"nonsense", other):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"complete file.*state\.npz"):
            read_state(path)


def test_a_checkpoint_of_another_version_raises(tmp_path):
    save_state(tmp_path / "state.npz", [np.ones(2)], {"history": []})
    with pytest.raises(CheckpointError, match="of this version.*step"):
        read_state(tmp_path / "state.npz", need=("history", "step"))


def test_a_failed_write_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    save_state(path, [np.array([1.0, 2.0])], {"number": 1})

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_state(path, [np.array([3.0, 4.0])], {"number": 2})
    monkeypatch.undo()
    (array,), progress = read_state(path)
    assert (array.tolist(), progress) == ([1.0, 2.0], {"number": 1})
