"""Work on a Ray cluster: placed by what it needs, done again where a machine is lost, told where it fails."""

import importlib.util
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.errors import InfrastructureError, UnknownNameError, UsageError
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.ray_workers import Needs

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the ray extra")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own


def test_how_many_processes_fit() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert Needs(1.0).room(nodes) == 8 + 3
    assert Needs(2.0).room(nodes) == 4 + 1  # not 5.5: no process has cores of two machines
    assert Needs(2.0, 1.0).room(nodes) == 2
    assert Needs(1.0, 0.25).room(nodes) == 8
    assert Needs(16.0).room(nodes) == 0


class TwoMachines:
    """A cluster of two raylets on loopback: the first is connected, the second may be lost."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        self.second = self.cluster.add_node(num_cpus=1, num_gpus=1)

    def lose_second(self) -> None:
        """Kills all processes of the second machine."""
        self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture(scope="module")
def machines() -> Iterator[TwoMachines]:
    pytest.importorskip("ray", exc_type=ImportError)
    import ray

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Its token and its sessions, elsewhere than at home and in a folder of all users; short, for sockets.
        patch.setenv("HOME", folder)
        patch.setenv("RAY_TMPDIR", folder)
        try:
            machines = TwoMachines()
        except Exception as error:
            pytest.skip(f"a Ray cluster does not start here: {error}")
        ray.init(address=machines.cluster.address, log_to_driver=False)
        yield machines
        ray.shutdown()
        machines.cluster.shutdown()


def where(piece: int) -> tuple[int, str]:
    """Returns the piece, and the machine that it was done on."""
    import ray

    return piece, ray.get_runtime_context().get_node_id()


def fail(piece: int) -> int:
    """Fails with an error of this project whose constructor takes other arguments than its message."""
    raise UnknownNameError("piece", str(piece), ["0"])


def die(piece: int) -> int:
    """Kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return piece


def meet(folder: Path, piece: int) -> tuple[int, str]:
    """Says that it has begun; on the second machine it never ends while that lives."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    (folder / f"{piece} {node}").touch()
    while ray.get_runtime_context().get_node_id() != (folder / "first").read_text():
        time.sleep(0.01)
    return piece, node


@needs_ray
def test_pieces_are_done_on_both_machines_and_come_in_order(machines: TwoMachines) -> None:
    run, workers = load_executor("ray?cpus=1")
    assert workers == 2
    found = list(run(where, range(12)))
    assert [piece for piece, _ in found] == list(range(12))
    assert len({node for _, node in found}) == 2


@needs_ray
def test_gpus_are_where_they_are(machines: TwoMachines) -> None:
    run, workers = load_executor("ray?cpus=0.5&gpus=0.5")
    assert workers == 2
    (node,) = {node for _, node in run(where, range(6))}
    assert node == machines.second.node_id
    with pytest.raises(UsageError, match="no machine of the cluster has 1 CPUs and 2 GPUs for a process"):
        load_executor("ray?gpus=2")


@needs_ray
@pytest.mark.parametrize(
    ("work", "kind", "told"),
    [
        (fail, UnknownNameError, "unknown piece '0'"),
        (die, InfrastructureError, "a process was lost over piece 1, 3 times"),
    ],
)
def test_what_fails_says_why(
    machines: TwoMachines, work: Callable[[int], int], kind: type[Exception], told: str
) -> None:
    run, _ = load_executor("ray:1")
    with pytest.raises(kind, match=told):
        list(run(work, [0, 1]))


@needs_ray
def test_a_machine_that_is_lost_costs_no_piece(machines: TwoMachines, tmp_path: Path) -> None:
    import ray

    first = ray.get_runtime_context().get_node_id()
    (tmp_path / "first").write_text(first)
    run, _ = load_executor("ray:2")

    def lose() -> None:
        while not any(machines.second.node_id in path.name for path in tmp_path.iterdir()):
            time.sleep(0.01)
        machines.lose_second()

    thread = threading.Thread(target=lose)
    thread.start()
    seen = list(run(partial(meet, tmp_path), range(8)))
    thread.join()
    assert [piece for piece, _ in seen] == list(range(8))
    assert {node for _, node in seen} == {first}
    twice = [path.name.split()[0] for path in tmp_path.iterdir() if path.name != "first"]
    assert len(twice) > len(set(twice)) == 8  # what the lost machine had was begun twice
