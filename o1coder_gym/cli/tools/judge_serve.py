"""`o1coder judge serve`: the judge over HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from rich.console import Console

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.tools.serve import KEY, LOOPBACK, allow_connections
from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.sandbox import ConcurrentJudge, Judge
from o1coder_gym.settings import AtLeastOne, Checked, Count, Range
from o1coder_gym.types import StdioTest, Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeServeSettings(Checked):
    """Service.

    Attributes:
        host: Address to listen at; any but this machine's own needs O1CODER_API_KEY.
        port: Port; 0 takes a free one.
        workers: Programs at the same time; default: one per core.
        body_mib: Largest request, in MiB; larger ones get 413.
        programs: Most programs in a request; more get 400.
        waiting: Programs that may wait for a worker; more get 429 and Retry-After.
        require: What the sandbox must enforce, or nothing is served, e.g. full (o1coder doctor); may be
            repeated. Without it: those that judging untrusted programs needs.
        without: Guarantees to do without, e.g. foreign_files; may be repeated.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 8080
    workers: AtLeastOne | None = None
    body_mib: AtLeastOne = 16
    programs: AtLeastOne = 1024
    waiting: Count = 8192
    require: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def judge_serve(settings: JudgeServeSettings) -> None:
    """Serve the judge over HTTP: /judge, and SandboxFusion's /run_code.

    Clients on other machines must send O1CODER_API_KEY, as Authorization: Bearer … or as ?token=….
    """
    try:
        import uvicorn

        from o1coder_gym.adapters.judge_service import JudgeBounds, judge_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    key = os.environ.get(KEY)
    if not key and settings.host not in LOOPBACK:
        raise UsageError(f"--host {settings.host}: set {KEY} to serve other machines")
    bounds = JudgeBounds(settings.body_mib << 20, settings.programs, settings.waiting)
    sandbox = Judge(settings.workers, require=settings.require or None, without=settings.without)
    allow_connections()
    with sandbox, ConcurrentJudge(sandbox) as shared:
        shared.evaluate([Submission("", None, (StdioTest("", ""),))])  # the sandbox starts, or says why not
        Console(stderr=True).print(f"{sandbox.workers} workers", highlight=False)
        uvicorn.run(
            judge_app(shared, bounds, key=key),
            host=settings.host,
            port=settings.port,
            log_level="info",
            access_log=False,
            timeout_graceful_shutdown=5,
        )


app = command(JudgeServeSettings, judge_serve, name="serve")
