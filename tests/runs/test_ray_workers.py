"""Work on a Ray cluster: placed by what it needs, done again where a machine is lost, told where it fails."""

import importlib.util
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.errors import InfrastructureError, UnknownNameError, UsageError
from o1coder_gym.runs import executors
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.ray_workers import Crew, Needs


def needs_ray(test: Any) -> Any:
    """Marks a test that starts a cluster."""
    there = importlib.util.find_spec("ray") is not None
    skips = pytest.mark.skipif(not there, reason="needs the ray extra")
    return pytest.mark.slow(skips(pytest.mark.filterwarnings("ignore")(test)))  # Ray's own warnings


class FakeRay:
    """What `Crew` uses of Ray, in this process: processes answer at once, or are lost where `lose` says."""

    class exceptions:
        """The errors by their names in Ray."""

        class RayTaskError(Exception): ...

        class RayActorError(Exception): ...

        class ObjectLostError(Exception): ...

        class NodeDiedError(Exception): ...

    def __init__(self, lose: Callable[[int, Any], bool]) -> None:
        """Args: whether process N is lost over a piece; over None, when it is asked whether it is there."""
        self.lose = lose
        self.begun = 0
        self.killed: list[int] = []

    def put(self, value: Any) -> Any:
        return value

    def get(self, reference: Any) -> Any:
        number, piece, result = reference
        if self.lose(number, piece):
            raise self.exceptions.RayActorError(f"process {number} is gone\nand more")
        return result

    def wait(self, references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return references[:num_returns], references[num_returns:]

    def kill(self, process: Any) -> None:
        self.killed.append(process.number)

    def remote(self, kind: type) -> Any:
        def start(*arguments: Any) -> Any:
            self.begun += 1
            number = self.begun
            ready = SimpleNamespace(remote=lambda: (number, None, None))
            do = SimpleNamespace(remote=lambda work, piece: (number, piece, work(piece)))
            return SimpleNamespace(number=number, ready=ready, do=do)

        return SimpleNamespace(options=lambda **needs: SimpleNamespace(remote=start))

    def crew(self, workers: int) -> Crew:
        return Crew(self, workers, Needs())


def test_what_a_lost_process_had_is_done_by_another() -> None:
    ray = FakeRay(lambda number, piece: number == 1 and piece is not None)
    with ray.crew(2) as crew:
        assert list(crew.results(str, [5, 6, 7])) == ["5", "6", "7"]
        assert ray.begun == 3  # the first was replaced, and the others stay for the next run
        assert list(crew.results(str, [8])) == ["8"]
        assert ray.begun == 3
    assert sorted(ray.killed) == [2, 3]


def test_the_last_piece_goes_to_a_process_that_had_nothing_left_to_do() -> None:
    # process 3, in the place of 1, never gets room; 2 has done its piece when 1 is lost
    ray = FakeRay(lambda number, piece: number == 1 and piece is not None)
    order: list[int] = []

    def wait(references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        placed = [one for one in references if one[0] < 3]
        # who is there before who works, the second before the first
        last = max(placed, key=lambda one: (one[1] is None, one[0]))
        order.append(last[0])
        return [last], [one for one in references if one is not last]

    ray.wait = wait
    with ray.crew(2) as crew:
        assert list(crew.results(str, [5, 6])) == ["5", "6"]
    assert order.count(2) > order.count(1)


@pytest.mark.parametrize(
    ("over", "told"),
    [
        (7, "a process was lost over piece 2, 3 times: process 4 is gone"),
        (None, "a process was lost before it was ready, 5 times: process 5 is gone"),
    ],
)
def test_a_piece_that_takes_processes_with_it_ends_the_run(over: int | None, told: str) -> None:
    ray = FakeRay(lambda number, piece: piece == over)
    with ray.crew(2) as crew, pytest.raises(InfrastructureError, match=f"{told}$"):
        list(crew.results(str, [5, 7]))


def test_a_cluster_of_this_machine_alone_must_have_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}])
    monkeypatch.setattr(executors, "connected", lambda *_: nullcontext(without))
    run, _ = load_executor("ray:2?gpus=1")
    with pytest.raises(UsageError, match="no machine of the cluster has 1 CPUs and 1 GPUs"):
        list(run(len, [[1]]))


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
        patch.setenv("RAY_worker_niceness", "0")  # else a busy machine leaves them nothing
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


def beside_another(folder: Path, piece: int) -> tuple[int, str]:
    """Waits until both machines have begun."""
    found = where(piece)
    (folder / found[1]).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return found


def fail(piece: int) -> int:
    """Fails with an error of this project whose constructor takes other arguments than its message."""
    raise UnknownNameError("piece", str(piece), ["0"])


def meet(folder: Path, piece: int) -> tuple[int, str]:
    """Says that it has begun; on the first machine it waits for the second, where it never ends."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    first = (folder / "first").read_text()
    (folder / f"{piece} {node}").touch()
    while node != first or not begun_elsewhere(folder, first):
        time.sleep(0.01)
    return piece, node


def begun_elsewhere(folder: Path, first: str) -> bool:
    """Whether a piece has begun on another machine than the first."""
    return any(path.name != "first" and first not in path.name for path in folder.iterdir())


@needs_ray
def test_pieces_are_done_on_both_machines_and_come_in_order(machines: TwoMachines, tmp_path: Path) -> None:
    run, workers = load_executor("ray?cpus=1")
    assert workers == 2
    found = list(run(partial(beside_another, tmp_path), range(12)))
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
def test_what_fails_says_why(machines: TwoMachines) -> None:
    run, _ = load_executor("ray:1")
    with pytest.raises(UnknownNameError, match="unknown piece '0'"):
        list(run(fail, [0, 1]))


@needs_ray
def test_a_machine_that_is_lost_costs_no_piece(machines: TwoMachines, tmp_path: Path) -> None:
    import ray

    first = ray.get_runtime_context().get_node_id()
    (tmp_path / "first").write_text(first)
    run, _ = load_executor("ray:2")

    def lose() -> None:
        while not begun_elsewhere(tmp_path, first):
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
