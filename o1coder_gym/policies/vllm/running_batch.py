"""Continuous batching (Yu et al., OSDI 2022, Orca): calls join vLLM's batch and leave it between two tokens.

vLLM's own ``generate`` returns with the last of its prompts, and nothing joins meanwhile; a search asks for
steps of very different lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from o1coder_gym.policies.vllm.own_thread import OwnThread

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Call:
    """The prompts of one caller.

    Attributes:
        outputs: One a prompt, None until it is finished.
        left: Number of prompts that are not finished.
        answer: Of `outputs`, when all are.
    """

    outputs: list[Any]
    left: int
    answer: Future[list[Any]] = field(default_factory=Future)

    def take(self, place: int, output: Any) -> None:
        """Takes the output of one prompt."""
        self.outputs[place] = output
        self.left -= 1
        if not self.left:
            self.answer.set_result(self.outputs)


class RunningBatch:
    """The prompts inside one vLLM engine, which its own thread steps while there are any.

    A step is a function on that thread like any other, queued behind what came before it: that is how calls
    get between two tokens.

    Attributes:
        failed: Whether a step has failed: nobody takes what is left inside since, and it holds memory.
    """

    def __init__(self, thread: OwnThread) -> None:
        """Args: the thread that loaded vLLM."""
        self.failed = False
        self._thread = thread
        # By vLLM's request id: the call, and the prompt's place in it. The thread's alone, as `_stepping`.
        self._inside: dict[str, tuple[Call, int]] = {}
        self._stepping = False

    def answer(self, engine: Any, count: int, enqueue: Callable[[], Sequence[str]]) -> list[Any]:
        """Adds prompts to the batch and waits; returns vLLM's outputs, one a prompt, in order.

        Args:
            engine: vLLM's `LLM`.
            count: Number of prompts, ≥ 1.
            enqueue: Gives them to `engine` and returns its ids; called on vLLM's thread.

        Raises:
            Exception: What vLLM raises, at these prompts or at a step that they took part in.
            RuntimeError: When a step has failed before.
        """
        call = Call([None] * count, count)
        self._thread.call(lambda: self._join(engine, call, enqueue))
        return call.answer.result()

    def alone(self, engine: Any, function: Callable[[], T]) -> T:
        """Runs a function on vLLM's thread while nothing is inside; calls that come meanwhile wait for it.

        Weights change between two calls: half an answer of each would belong to neither.
        """

        def work() -> T:
            while self._inside:
                self._step(engine)
            return function()

        return self._thread.call(work)

    def _join(self, engine: Any, call: Call, enqueue: Callable[[], Sequence[str]]) -> None:
        if self.failed:  # while this call waited for its turn: a step would meet outputs that nobody takes
            raise RuntimeError("an earlier request failed")
        # An output has the number that comes before the dash.
        self._inside |= {one.partition("-")[0]: (call, place) for place, one in enumerate(enqueue())}
        if not self._stepping:
            self._stepping = True
            self._thread.submit(lambda: self._go_on(engine))

    def _go_on(self, engine: Any) -> None:
        """Makes one step, and queues the next behind whoever has come meanwhile."""
        if self._inside:
            self._step(engine)
        self._stepping = bool(self._inside)
        if self._stepping:
            self._thread.submit(lambda: self._go_on(engine))

    def _step(self, engine: Any) -> None:
        """Samples one token for each row; a failure is that of all calls inside."""
        try:
            outputs = engine.llm_engine.step()
        except BaseException as error:  # whatever it is, the callers would wait for ever
            self.failed = True
            calls = {call for call, _ in self._inside.values()}
            self._inside.clear()
            for call in calls:
                call.answer.set_exception(error)
            return
        for output in outputs:
            if output.finished:
                call, place = self._inside.pop(output.request_id)
                call.take(place, output)
