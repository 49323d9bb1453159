"""The application: three endpoints over one concurrent judge."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from o1coder_gym.adapters.judge_service.bodies import JudgeRequest, verdict_row
from o1coder_gym.adapters.judge_service.gate import (
    Refused,
    answer,
    authorise,
    body,
    json_response,
    read,
    unless_gone,
)
from o1coder_gym.adapters.judge_service.sandbox_fusion import (
    EvaluateBatch,
    RunCode,
    batch_response,
    run_response,
)
from o1coder_gym.adapters.scoring import Score
from o1coder_gym.errors import O1CoderError, ProblemFileError
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.sandbox.callers.asking import AskedJudge

_Body = TypeVar("_Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class JudgeBounds:
    """What the service takes.

    Attributes:
        body_bytes: Of a request; larger ones get 413.
        programs: In a request.
        waiting: Programs that may wait for a worker; more get 429 and ``Retry-After``.
    """

    body_bytes: int = 16 << 20
    programs: int = 1024
    waiting: int = 8192


def judge_app(
    judge: AskedJudge | None = None, bounds: JudgeBounds = JudgeBounds(), *, key: str | None = None
) -> Starlette:
    """Returns the application.

    Args:
        judge: The judge; the process-wide `shared_judge()` if None.
        bounds: Limits of a request.
        key: What clients must bring; ``O1CODER_API_KEY`` if None. Without one, this machine alone is served.
    """
    key = key or os.environ.get("O1CODER_API_KEY")
    desk = judge or shared_judge()

    def served(path: str, kind: type[_Body], work: Callable[[_Body], Awaitable[Any]]) -> Route:
        async def handle(request: Request) -> Response:
            # Before the body is read: who has no key must not cost memory.
            authorise(request, key)
            asked = read(await body(request, bounds.body_bytes), kind)
            if desk.waiting > bounds.waiting:
                raise Refused(429, f"{desk.waiting:,} programs are waiting")
            return json_response(await unless_gone(request, work(asked)))

        return Route(path, handle, methods=["POST"])

    async def verdicts(asked: JudgeRequest) -> dict[str, Any]:
        if len(asked.submissions) > bounds.programs:
            raise Refused(400, f"got {len(asked.submissions):,}, at most {bounds.programs:,}", "submissions")
        found = await desk.evaluate_async([*asked.read()], stop_at_failure=asked.stop_at_failure)
        return {"verdicts": [verdict_row(verdict) for verdict in found]}

    async def run_code(asked: RunCode) -> dict[str, Any]:
        # In a thread, for a judge of several processes waits there until one has room.
        future = await asyncio.to_thread(desk.submit_run, asked.submission)
        (output,) = await asyncio.wrap_future(future)
        return run_response(output)

    async def evaluate_batch(asked: EvaluateBatch) -> dict[str, Any]:
        try:
            truth = asked.truth
        except ProblemFileError as error:
            raise Refused(400, str(error), "config.provided_data.test_cases") from error
        if asked.program is None:
            return batch_response(asked, Score(None))
        submissions = [truth.submission(asked.program)]
        (verdict,) = await desk.evaluate_async(submissions, stop_at_failure=not asked.run_all)
        return batch_response(asked, Score(verdict))

    async def health(request: Request) -> Response:
        return json_response({"status": "ok", "waiting": desk.waiting})

    routes = [
        served("/judge", JudgeRequest, verdicts),
        served("/run_code", RunCode, run_code),
        served("/common_evaluate_batch", EvaluateBatch, evaluate_batch),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={O1CoderError: answer})
