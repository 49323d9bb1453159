"""Two resources servers for NeMo Gym: whole answers that are verified, and the decision process step by step.

A server's ``app.py`` is two lines; ``rows`` writes the data set of either:

    from o1coder_gym.adapters.nemo_gym import O1CoderVerifier
    O1CoderVerifier.run_webserver()

`O1CoderVerifier` reads ``verifier_metadata.unit_tests`` as NeMo Gym's own code servers write it, and this
project's tests. `O1CoderGymnasium` goes with NeMo Gym's ``gymnasium_agent``. A masked score is an error of
the request, so that the rollout fails instead of counting as 0. Needs nemo-gym (Python 3.12 or newer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from nemo_gym.base_resources_server import (  # pyright: ignore[reportMissingImports]
    BaseVerifyRequest,
    BaseVerifyResponse,
    SimpleResourcesServer,
)
from nemo_gym.server_utils import SESSION_ID_KEY  # pyright: ignore[reportMissingImports]
from pydantic import ConfigDict, Field
from resources_servers.gymnasium import GymnasiumServer, extract_text  # pyright: ignore[reportMissingImports]

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row, read_ground_truth
from o1coder_gym.adapters.scoring import score_all_async
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import InfrastructureError, ProblemFileError
from o1coder_gym.experiments.serving.sessions import Sessions
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.problems.formats.reading.fields import optional
from o1coder_gym.rewards import end_value
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem
from o1coder_gym.types import State as Chain

GO_ON = "Go on with the next step."


class VerifyRequest(BaseVerifyRequest):
    """An answer with the tests of its row."""

    verifier_metadata: dict[str, Any] = Field(default_factory=dict)


class VerifyResponse(BaseVerifyResponse):
    """The reward, and the verdict on the program."""

    model_config = ConfigDict(extra="allow")
    outcome: str
    pass_ratio: float
    error: str = ""


class O1CoderVerifier(SimpleResourcesServer):
    """Verifies programs with the sandboxed judge: 1 iff all tests pass."""

    async def verify(self, body: VerifyRequest) -> VerifyResponse:
        """Scores an answer.

        Raises:
            ProblemFileError: When the row has no tests that can be read.
            InfrastructureError: When the score is masked.
        """
        answer = extract_text(body.response)
        truth = read_ground_truth(_field(body.verifier_metadata, "unit_tests"))
        (found,) = await score_all_async([(program_in(answer, truth.entry_point), truth)])
        return VerifyResponse(
            **body.model_dump(),
            reward=found.demand(),
            outcome=found.outcome,
            pass_ratio=found.pass_ratio,
            error="" if found.reward else found.error,
        )


class O1CoderGymnasium(GymnasiumServer):
    """The decision process: each answer is a step, each observation says what came of it.

    The agent ends a session by ``/close``, as `reset` tells it that it can; one that nobody ends is gone as
    `Sessions` say. A step of a session that is gone, or never began, is answered by 410 with
    ``{"error": "session_gone", "message": …}``: start the rollout anew.
    """

    session_state: Any = Field(default_factory=Sessions)

    def setup_webserver(self) -> FastAPI:
        """Returns the application, with ``/close`` beside NeMo Gym's own routes."""
        app = super().setup_webserver()
        app.post("/close")(self._close_endpoint)
        return app

    async def _close_endpoint(self, request: Request) -> dict[str, Any]:
        await self.close_session(request.session.get(SESSION_ID_KEY))
        return {}

    async def reset(
        self, metadata: dict[str, Any], session_id: str | None = None
    ) -> tuple[None, dict[str, Any]]:
        """Begins an episode; the question is in the prompt already."""
        model = _model(_field(metadata, "verifier_metadata"))
        self.session_state[session_id] = model, model.initial(model.task_ids[0])
        return None, {"task_id": model.task_ids[0], "supports_explicit_close": True}

    async def step(
        self, action: Any, metadata: dict[str, Any], session_id: str | None = None
    ) -> tuple[str | None, float, bool, bool, dict[str, Any]]:
        """Takes a step.

        Raises:
            HTTPException: When no episode is running: it was never begun, has ended, or was abandoned for too
                long.
            InfrastructureError: When nothing was decided about the program.
        """
        if (episode := self.session_state.get(session_id)) is None:
            told = "no episode is running in this session; reset first"
            raise HTTPException(410, {"error": "session_gone", "message": told})
        model, chain = episode
        # In a thread: judging blocks, and one event loop serves all sessions.
        (transition,) = await asyncio.to_thread(model.advance, [(chain, extract_text(action))])
        self.session_state[session_id] = model, transition.state
        if end_value(transition) is None:
            raise InfrastructureError(f"no reward: {transition.feedback}")
        said = None if transition.done else transition.feedback or GO_ON
        outcome = transition.verdict.outcome.value if transition.verdict else None
        info = {"outcome": outcome, "feedback": transition.feedback}
        return said, transition.reward, transition.terminated, transition.truncated, info


def rows(problems: Iterable[Problem], *, format: str = "vanilla") -> Iterator[dict[str, Any]]:
    """Yields a row of NeMo Gym's data set per problem; its tests are the public ones."""
    step_format = load_format(format)
    for problem in problems:
        turns = step_format.prompt(problem, Chain(problem.task_id)).messages
        yield {
            "responses_create_params": {"input": [{"role": role, "content": text} for role, text in turns]},
            "verifier_metadata": {
                "task_id": problem.task_id,
                "question": problem.prompt,
                "format": format,
                "unit_tests": ground_truth_row(ground_truth_of(problem)),
            },
        }


def _model(metadata: dict[str, Any]) -> ReasoningModel:
    truth = read_ground_truth(_field(metadata, "unit_tests"))
    task_id, question = str(metadata.get("task_id", "task")), optional(metadata, "question", str)
    step_format = load_format(metadata.get("format", "pseudocode"))
    return ReasoningModel([truth.problem(task_id, question)], shared_judge(), format=step_format)


def _field(metadata: dict[str, Any], name: str) -> Any:
    if not isinstance(metadata, dict) or name not in metadata:
        there = ", ".join(metadata) if isinstance(metadata, dict) else type(metadata).__name__
        raise ProblemFileError(f"field {name!r}: missing; there are {there or 'none'}")
    return metadata[name]
