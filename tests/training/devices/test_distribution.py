import importlib.util
import os
import pathlib
import re
import sys
import threading
import types
import zipfile

import numpy as np
import pytest
from jax_process import jax_environment
from process_group import ProcessGroup, free_port

from semenet.training.devices.cluster import ClusterError, ProcessPlace, find_process_place, first_host
from semenet.training.devices.device import Devices, DistributionError
from semenet.training.devices.distribution import open_devices
from semenet.training.devices.mirrored import MirroredDevices
from semenet.training.devices.peer_watch import PeerWatch

SCRIPT = pathlib.Path(__file__).parent / "distributed_training.py"
SLURM = {
    "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "12007", "SLURM_JOB_NODELIST": "node[03-06],x"
}  # fmt: skip
KUBERNETES = {"JOB_COMPLETION_INDEX": "1", "SEMENET_PROCESSES": "2", "SEMENET_COORDINATOR": "job-0.job:2345"}


def options(distribute="data_parallel", coordinator=None, processes=None, rank=None):
    return types.SimpleNamespace(
        distribute=distribute, coordinator=coordinator, processes=processes, rank=rank
    )


@pytest.mark.parametrize(
    ("flags", "environment", "place"),
    [
        ({}, {}, ProcessPlace()),
        ({"processes": 1, "rank": 0}, SLURM, ProcessPlace()),
        (
            {"coordinator": "[fe80::1]:99", "processes": 3, "rank": 2},
            SLURM | KUBERNETES,
            ProcessPlace(3, 2, ("fe80::1", 99)),
        ),
        ({}, SLURM, ProcessPlace(4, 3, ("node03", 20007))),
        ({}, SLURM | {"SLURM_STEP_NODELIST": "node05"}, ProcessPlace(4, 3, ("node05", 20007))),
        ({}, KUBERNETES, ProcessPlace(2, 1, ("job-0.job", 2345))),
    ],
)
def test_finds_the_place_of_a_process(flags, environment, place):
    assert find_process_place(options(**flags), environment) == place


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ({"rank": 0}, {}, "Received: --rank 0. Add --coordinator, --processes"),
        ({"processes": 2, "rank": 0}, {}, "Add --coordinator"),
        ({"coordinator": "here", "processes": 2, "rank": 0}, {}, "HOST:PORT. Received: 'here'"),
        ({"coordinator": "a:1", "processes": 2, "rank": 2}, {}, "Received: rank 2 of 2"),
        ({}, SLURM | KUBERNETES, "Slurm and of Kubernetes"),
        ({}, SLURM | {"SLURM_NTASKS": "four"}, "SLURM_NTASKS must be a whole number. Received: 'four'"),
        ({}, {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}, "none of SLURM_NTASKS.*srun"),
        ({}, {"JOB_COMPLETION_INDEX": "0"}, "Set SEMENET_PROCESSES, SEMENET_COORDINATOR"),
    ],
)
def test_an_incomplete_or_contradictory_place_raises(flags, environment, message):
    with pytest.raises(ClusterError, match=message):
        find_process_place(options(**flags), environment)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("a", "a"), ("a,b", "a"), ("n[1,3-5],m", "n1"), ("r[01-02]n[7]-ib", "r01n7-ib"), ("n[08]", "n08")],
)
def test_first_host_of_a_slurm_list(nodes, host):
    assert first_host(nodes) == host


def watch_each_other(count, port, **arguments):
    """Returns the watches of several processes, here threads; or the errors that they raise."""
    found = [None] * count

    def join(rank):
        try:
            place = ProcessPlace(count, rank, ("127.0.0.1", port))
            found[rank] = PeerWatch(place, 20, jax_port=1234 if rank == 0 else 0, **arguments)
        except ClusterError as error:
            found[rank] = error

    in_threads(join, count)
    return found


def in_threads(function, count):
    threads = [threading.Thread(target=function, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
        assert not thread.is_alive()


def test_processes_learn_the_port_of_jax_and_end_together():
    losses = []
    watches = watch_each_other(3, free_port(), on_loss=losses.append)
    assert [watch.jax_port for watch in watches] == [1234] * 3
    in_threads(lambda rank: watches[rank].close(finished=True), 3)
    assert losses == []


@pytest.mark.parametrize("gone", [0, 2])
def test_all_other_processes_notice_that_one_has_ended(gone):
    messages, noticed = [], threading.Semaphore(0)

    def notice(error):
        messages.append(str(error))
        noticed.release()

    watches = watch_each_other(3, free_port(), on_loss=notice)
    watches[gone].close(finished=False)
    for _ in range(2):
        assert noticed.acquire(timeout=10)
    assert all(f"rank {gone} has ended" in message for message in messages)
    assert all("same command" in message for message in messages)
    for rank in {0, 1, 2} - {gone}:
        watches[rank].close(finished=False)


def test_the_error_names_the_missing_rank():
    port = free_port()
    with pytest.raises(ClusterError, match=f"nothing from the ranks 1.*127.0.0.1:{port}"):
        PeerWatch(ProcessPlace(2, 0, ("127.0.0.1", port)), 0.3)
    with pytest.raises(ClusterError, match="Rank 1 must reach rank 0.*Start rank 0"):
        PeerWatch(ProcessPlace(2, 1, ("127.0.0.1", port)), 0.3)


def test_two_processes_of_the_same_rank_raise():
    port, errors = free_port(), []

    def join(number):
        try:
            PeerWatch(ProcessPlace(3, min(number, 1), ("127.0.0.1", port)), 10, on_loss=errors.append)
        except ClusterError as error:
            errors.append(error)

    in_threads(join, 3)
    assert any("rank 1 of 3, which has already joined" in str(error) for error in errors)


def test_one_device_needs_no_other_process():
    with open_devices(options("none")) as devices:
        assert type(devices) is Devices
        assert (devices.replicas, devices.part, devices.is_chief) == (1, (0, 1), True)
        assert devices.local_rows(7) == slice(0, 7)
        assert devices.broadcast({"step": 3}) == {"step": 3}
        np.testing.assert_array_equal(devices.gather([[1, 2]]), [[1, 2]])


def test_the_shares_of_the_ranks_cover_each_row_once():
    shares = []
    for rank in range(3):
        devices = Devices()
        devices.part = (rank, 3)
        shares += range(11)[devices.local_rows(11)]
    assert shares == list(range(11))
    with pytest.raises(DistributionError, match="Received: 2 images"):
        devices.local_rows(2)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (options("none", processes=2), "--processes 2 with --distribute none"),
        (options("mirrored", rank=0), "--rank 0 with --distribute mirrored"),
        (options("data_parallel"), "KERAS_BACKEND=jax"),
    ],
)
def test_a_mode_that_does_not_fit_the_options_or_the_backend_raises(chosen, message):
    with pytest.raises(DistributionError, match=message):
        open_devices(chosen)


def test_a_batch_size_or_clipping_that_does_not_fit_raises():
    devices = MirroredDevices.__new__(MirroredDevices)
    devices.replicas = 3
    devices.check(9)
    with pytest.raises(DistributionError, match="--batch-size 8.*such as 9"):
        devices.check(8)
    with pytest.raises(DistributionError, match="--clip-norm 1.0"):
        devices.check(9, clip_norm=1.0)


def run(folder, arguments, backend="tensorflow", ranks=1, seconds=170, flags=()):
    """Starts the script once for each rank; returns a ProcessGroup."""
    if backend == "jax" and importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install 'semenet[jax]'")
    environment = jax_environment(*flags) if backend == "jax" else os.environ
    place = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(ranks)] if ranks > 1 else []
    folder.mkdir()
    commands = [
        [sys.executable, str(SCRIPT), str(folder / f"{rank}.npz"), *arguments, *place]
        + (["--rank", str(rank)] if ranks > 1 else [])
        for rank in range(ranks)
    ]
    return ProcessGroup(commands, environment, folder, seconds)


def results(group):
    """Returns what each rank has written, once all have ended without an error."""
    for rank in range(len(group.processes)):
        assert group.wait(rank) == 0, group.errors(rank)
    return [dict(np.load(group.folder / f"{rank}.npz")) for rank in range(len(group.processes))]


def assert_alike(one, other, tolerance):
    """Results differ only by float32 rounding: sums over a batch are computed in another order."""
    for name in one:
        if name not in ("agreed", "mix"):
            np.testing.assert_allclose(other[name], one[name], atol=tolerance, rtol=tolerance, err_msg=name)


def config_of(path):
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
    # An object's id is its address in the process that wrote it.
    return re.sub(r'"shared_object_id": \d+', "", config)


@pytest.mark.slow
@pytest.mark.parametrize("case", [["--p", "1.0"], ["--weighted", "--optimizer", "adamw"]], ids=" ".join)
def test_mirrored_replicas_train_like_one_device(tmp_path, case):
    """Weights with SGD, too: test_distributed_runs.py trains so."""
    with run(tmp_path / "one", case) as group:
        (one,) = results(group)
    case = [*case, "--distribute", "mirrored", "--logical-devices", "2"]
    with run(tmp_path / "two", case) as group:
        (two,) = results(group)
        assert '"replicas": 2' in group.output(0)
    assert_alike(one, two, 2e-5)
    assert one["mix"] == two["mix"]
    saved = [config_of(tmp_path / name / "0.keras") for name in ("one", "two")]
    assert 'synchronized": true' not in saved[1]
    assert saved[0].split('"compile_config"')[0] == saved[1].split('"compile_config"')[0]


@pytest.fixture(scope="module")
def one_jax_device(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax") / "one"
    with run(folder, ["--weighted"], "jax") as group:
        return folder, results(group)[0]


@pytest.mark.slow
def test_two_devices_of_a_jax_process_train_like_one(one_jax_device):
    folder, one = one_jax_device
    arguments = ["--weighted", "--distribute", "data_parallel"]
    flags = ["--xla_force_host_platform_device_count=2"]
    with run(folder.parent / "two_devices", arguments, "jax", flags=flags) as group:
        (two,) = results(group)
        assert '"replicas": 2' in group.output(0)
    assert_alike(one, two, 2e-5)


@pytest.mark.slow
def test_two_processes_train_like_one(one_jax_device):
    folder, one = one_jax_device
    arguments = ["--weighted", "--distribute", "data_parallel"]
    with run(folder.parent / "two_processes", arguments, "jax", ranks=2) as group:
        ranks = results(group)
    assert_alike(one, ranks[0], 2e-5)
    assert_alike(ranks[0], ranks[1], 0)
    assert ranks[0]["agreed"] == ranks[1]["agreed"]
    for rank in ranks:
        # 0, 1 and 3,000,000 float64 values from rank 1, none from rank 0: exact, in the order of the ranks.
        assert rank["gathered_sizes"].tolist() == [0, 1, 3_000_000]
        assert rank["gathered"].tolist() == [1 / 3, 1 / 3]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_others(one_jax_device, killed):
    folder, _ = one_jax_device
    arguments = ["--distribute", "data_parallel", "--weighted", "--steps", "2000", "--step-seconds", "0.1"]
    with run(folder.parent / f"killed{killed}", arguments, "jax", ranks=2) as group:
        group.wait_for(0, "step 0")
        group.kill(killed)
        other = group.processes[1 - killed]
        assert other.wait(20) != 0
        said = group.errors(1 - killed)
        # JAX's service runs in rank 0: JAX may notice its end first, and end the process itself.
        by_jax = killed == 0 and "distributed service detected fatal errors" in said
        assert by_jax or (f"rank {killed} has ended" in said and "same command" in said)
