"""vLLM with the weights of a policy in training, without vLLM."""

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.policies.vllm import engine
from o1coder_gym.policies.vllm.own_thread import OwnThread, T
from o1coder_gym.policies.vllm.running_batch import RunningBatch
from o1coder_gym.policies.vllm.trained import TrainedVLLM
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling

ASKED = Prompt((("user", "count"),), "", "")


class Machine:
    """As much of `vllm.LLM` as is used; a prompt is answered by the adapters that it was given with."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self._inside: dict[str, Any] = {}
        self._count = 0

    @property
    def llm_engine(self) -> "Machine":
        return self

    def add_lora(self, request: Any) -> None:
        self.taken.append(request)

    def reset_prefix_cache(self) -> None:
        pass

    def enqueue(self, prompts: Sequence[Any], samplings: Sequence[Any], **given: Any) -> list[str]:
        names = [str(self._count + place) for place in range(len(prompts))]
        self._count += len(prompts)
        self._inside |= dict.fromkeys(names, given["lora_request"])
        return [f"{name}-0123abcd" for name in names]

    def step(self) -> list[SimpleNamespace]:
        done = [
            SimpleNamespace(request_id=name, finished=True, adapter=adapter)
            for name, adapter in self._inside.items()
        ]
        self._inside.clear()
        return done


class Told(TrainedVLLM):
    """Its answers are the adapters that answered."""

    def _completion(self, request: Generate, output: Any) -> Completion:
        return Completion(str(output.adapter), (), 1, None, "stop")


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> TrainedVLLM:
    monkeypatch.setattr(engine, "require", lambda *_: None)
    # Records alone: what vLLM would make of them is the machine's part.
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=dict))
    request = SimpleNamespace(LoRARequest=lambda name, *_: name)
    monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
    found = Told("tiny", lora_rank=1)
    monkeypatch.setattr(found, "_loaded", (machine, SimpleNamespace()))
    return found


def asked() -> Generate:
    return Generate(ASKED, (1, 2), 1, Sampling(max_tokens=4), 0, lambda text: None)


def test_a_closed_engine_is_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "require", lambda *_: None)
    closed = TrainedVLLM("tiny")
    closed.close()
    with pytest.raises(PolicyError, match="vLLM has been closed"):  # by a thread that was ahead
        closed.encode(ASKED)


@pytest.mark.timeout(30)
def test_of_nothing_nothing_is_asked(trained: TrainedVLLM) -> None:
    assert trained.generate([]) == []
    assert trained.counters.batches == 0


def test_what_is_asked_behind_a_change_of_adapters_is_answered_by_the_new_ones(
    trained: TrainedVLLM, machine: Machine, tmp_path: Path
) -> None:
    answered = threading.Event()

    class LateTaker(OwnThread):
        """Whoever takes adapters goes on only when the call behind it has been answered."""

        def call(self, function: Callable[[], T]) -> T:
            found = super().call(function)
            if threading.current_thread() is threading.main_thread() and machine.taken == ["policy-2"]:
                assert answered.wait(10)
            return found

    def ask() -> str:
        (found,) = trained.generate([asked()])
        answered.set()
        return found[0].text

    trained.take_adapter(tmp_path, 1)
    assert ask() == "policy-1"
    answered.clear()
    machine.taken.clear()
    trained._thread = LateTaker("steps")
    trained._batch = RunningBatch(trained._thread)
    with ThreadPoolExecutor() as pool:
        changing = machine.add_lora
        asking = []

        def add_lora(request: Any) -> None:
            asking.append(pool.submit(ask))  # waits for its turn from here on
            changing(request)

        machine.add_lora = add_lora  # type: ignore[method-assign]
        trained.take_adapter(tmp_path, 2)
        assert asking[0].result(timeout=10) == "policy-2"


@pytest.mark.parametrize("failure", [AssertionError(), IndexError("list index out of range"), MemoryError()])
def test_whatever_a_step_raises_is_vllms_failure(
    trained: TrainedVLLM, machine: Machine, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def step() -> list[SimpleNamespace]:
        raise failure

    monkeypatch.setattr(machine, "step", step)
    with pytest.raises(PolicyError, match=f"vLLM failed: {str(failure) or type(failure).__name__}"):
        trained.generate([asked()])
    with pytest.raises(PolicyError, match="failed in an earlier request"):
        trained.generate([asked()])


def test_weights_of_which_half_may_be_new_are_not_sampled_with(
    trained: TrainedVLLM, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def add_lora(request: Any) -> None:
        assert request == "of another shape"

    monkeypatch.setattr(machine, "add_lora", add_lora)
    with pytest.raises(PolicyError, match="vLLM refused the new weights: AssertionError"):
        trained.take_adapter(tmp_path, 1)
    with pytest.raises(PolicyError, match="failed in an earlier request"):
        trained.generate([asked()])


def test_what_the_trainer_has_freed_is_the_devices_before_vllm_wakes(
    monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    import torch

    done: list[str] = []
    monkeypatch.setattr(engine, "require", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("freed"))
    monkeypatch.setattr(machine, "wake_up", lambda: done.append("awake"), raising=False)
    monkeypatch.setattr(machine, "sleep", lambda level: done.append("asleep"), raising=False)
    sleeper = Told("tiny", lora_rank=1, sleeps=True)
    monkeypatch.setattr(sleeper, "_loaded", (machine, SimpleNamespace()))
    with sleeper.awake(), sleeper.awake():
        assert done == ["freed", "awake"]
    assert done[2:] == ["asleep"]
