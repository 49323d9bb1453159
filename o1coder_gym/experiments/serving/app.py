"""The HTTP application: OpenAI's chat completions, text completions and responses, answered by agents."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from o1coder_gym.agents import TaskResult
from o1coder_gym.errors import Cancelled, O1CoderError
from o1coder_gym.experiments.serving import chat
from o1coder_gym.experiments.serving.completions import CompletionRequest, text_chunk, text_completion
from o1coder_gym.experiments.serving.desk import Desk, Event, Full, Order, answered
from o1coder_gym.experiments.serving.questions import question
from o1coder_gym.experiments.serving.responses import ResponseRequest, response
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.types import Transition, Usage
from o1coder_gym.types.protocols import Policy
from o1coder_gym.types.queries import Agent

IGNORED = "X-O1Coder-Ignored"
"""Header of an answer: the parameters of its request that were not applied."""
HEARTBEAT_S = 10.0
"""Seconds after which a silent stream says that it is alive."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a request.

    Attributes:
        tokens: Generated tokens per completion at most; also what a completion gets by default.
        n: Completions per request.
        characters: Of the conversation.
        body_bytes: Of the request.
        seconds: Per completion; None for no bound.
    """

    tokens: int = 4096
    n: int = 8
    characters: int = 32_000
    body_bytes: int = 256 << 10
    seconds: float | None = None


class Refused(O1CoderError):
    """Raised when a request is answered by an HTTP error."""

    def __init__(self, status: int, message: str, *, parameter: str | None = None, code: str | None = None):
        """Args: HTTP status, one line, the parameter that is wrong, a code for programs."""
        super().__init__(message)
        self.status = status
        self.parameter = parameter
        self.code = code


def make_app(
    desk: Desk,
    models: Mapping[str, Agent],
    bounds: Bounds = Bounds(),
    *,
    policies: Mapping[str, Policy] = MappingProxyType({}),
    key: str | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """Returns the application; its shutdown closes the desk.

    Args:
        desk: Runs the searches.
        models: Agents by the name that requests call them.
        bounds: Limits per request.
        policies: Of the models that bring their own, by name.
        key: What clients must send as their API key; None lets everyone in.
        origins: Web pages that may ask from a browser (CORS), e.g. ``https://chat.example``; ``*`` for all.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(desk.close)

    app = FastAPI(title="o1coder", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"]
        )

    def serves(path: str, kind: Kind) -> None:
        async def handle(request: Request) -> Response:
            _authorised(request, key)
            asked = _read(await _body(request, bounds.body_bytes), bounds, kind.request)
            if asked.model not in models:
                known = ", ".join(models)
                message = f"no model {asked.model!r}; known: {known}"
                raise Refused(404, message, parameter="model", code="model_not_found")
            told = {IGNORED: _header(asked.ignored)} if asked.ignored else None
            searches = _Searches(desk, asked, models[asked.model], policies.get(asked.model), bounds)
            if asked.stream:
                parts = searches.chunks(kind.chunk)
                return StreamingResponse(parts, media_type="text/event-stream", headers=told)
            return JSONResponse(kind.whole(await _unless_gone(request, searches.whole())), headers=told)

        app.add_api_route(path, handle, methods=["POST"])

    async def listing(request: Request) -> Response:
        _authorised(request, key)
        return JSONResponse({"object": "list", "data": [_model_row(name) for name in models]})

    async def one_model(request: Request) -> Response:
        _authorised(request, key)
        name = request.path_params["name"]
        if name not in models:
            raise Refused(404, f"no model {name!r}", parameter="model", code="model_not_found")
        return JSONResponse(_model_row(name))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "searches": desk.busy})

    for path, kind in KINDS.items():
        serves(path, kind)
    app.add_api_route("/v1/models", listing, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", one_model, methods=["GET"])
    app.add_api_route("/health", health, methods=["GET"])
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(O1CoderError, _failed)
    app.add_exception_handler(HTTPException, _no_route)
    return app


def _header(names: Sequence[str]) -> str:
    """Returns names that a client chose as the value of a header: a line of ASCII that is not too long."""
    return json.dumps(", ".join(names))[1:-1][:1000]


_Request: TypeAlias = chat.ChatRequest | CompletionRequest | ResponseRequest


@dataclass(frozen=True, slots=True)
class Kind:
    """One of OpenAI's kinds of requests; all are run as chat completions.

    Attributes:
        request: Reads the body.
        whole: Makes the answer, of that of a chat completion.
        chunk: Makes a piece of a stream likewise, None where there is nothing to tell.
    """

    request: type[_Request]
    whole: Callable[[dict[str, Any]], dict[str, Any]]
    chunk: Callable[[dict[str, Any]], dict[str, Any] | None]


def _as_it_is(body: dict[str, Any]) -> dict[str, Any]:
    return body


KINDS: Mapping[str, Kind] = {
    "/v1/chat/completions": Kind(chat.ChatRequest, _as_it_is, _as_it_is),
    "/v1/completions": Kind(CompletionRequest, text_completion, text_chunk),
    "/v1/responses": Kind(ResponseRequest, response, _as_it_is),
}


class _Searches:
    """The searches of one request, one per completion, and their events."""

    def __init__(
        self, desk: Desk, asked: chat.ChatRequest, agent: Agent, policy: Policy | None, bounds: Bounds
    ) -> None:
        self.name = f"chatcmpl-{secrets.token_hex(12)}"
        self._desk = desk
        self._asked = asked
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        problem = question(asked.turns, asked.entry_point, asked.public_tests)
        budget = Budget(tokens=asked.tokens or bounds.tokens, seconds=bounds.seconds)
        seed = asked.seed if asked.seed is not None else secrets.randbits(40)
        seeds = [derive_stream(seed, "completion", index) for index in range(asked.n)]
        self._orders = [Order(self.name, problem, agent, budget, one, policy) for one in seeds]
        loop = asyncio.get_running_loop()
        tells = [self._teller(loop, index) for index in range(asked.n)]
        try:
            desk.submit(self._orders, tells)
        except Full as error:
            raise Refused(429, str(error), code="rate_limit_exceeded") from error

    def _teller(self, loop: asyncio.AbstractEventLoop, index: int) -> Callable[[Event], None]:
        return lambda event: loop.call_soon_threadsafe(self._events.put_nowait, (index, event)) and None

    async def whole(self) -> dict[str, Any]:
        """Returns the body of the completion once all searches have ended."""
        thoughts = [""] * len(self._orders)
        finished: dict[int, TaskResult] = {}
        try:
            while len(finished) < len(self._orders):
                index, event = await self._events.get()
                if isinstance(event, Transition):
                    thoughts[index] += chat.thought(event)
                else:
                    finished[index] = answered(event)
        finally:
            self._desk.cancel(self._orders)
        choices = [chat.choice(i, finished[i], thoughts[i], self._asked.stops) for i in sorted(finished)]
        spent = sum((result.usage for result in finished.values()), Usage())
        return chat.completion(self.name, self._asked.model, choices, spent)

    async def chunks(self, shape: Callable[[dict[str, Any]], dict[str, Any] | None]) -> AsyncIterator[str]:
        """Yields the events of the stream: each step as reasoning, then the answers."""
        async with aclosing(self._bodies()) as bodies:  # a client that hangs up closes both at once
            async for body in bodies:
                shaped = body if isinstance(body, str) else shape(body)
                if shaped is not None:
                    yield shaped if isinstance(shaped, str) else _event(shaped)

    async def _bodies(self) -> AsyncGenerator[dict[str, Any] | str, None]:
        spent, going = Usage(), len(self._orders)
        try:
            for index in range(going):
                yield self._chunk(index, {"role": "assistant", "content": ""})
            while going:
                try:
                    index, event = await asyncio.wait_for(self._events.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": searching\n\n"
                    continue
                if isinstance(event, Transition):
                    yield self._chunk(index, {"reasoning_content": chat.thought(event)})
                    continue
                result = answered(event)
                spent, going = spent + result.usage, going - 1
                if text := chat.answer(result, self._asked.stops):
                    yield self._chunk(index, {"content": text})
                yield self._chunk(index, {}, chat.finish_reason(result))
            if self._asked.stream_options is not None and self._asked.stream_options.include_usage:
                last = chat.chunk(self.name, self._asked.model, 0, {})
                yield last | {"choices": [], "usage": chat.usage_row(spent)}
            yield "data: [DONE]\n\n"
        except O1CoderError as error:
            yield _event(_error(_status(error), str(error)))
        finally:
            self._desk.cancel(self._orders)

    def _chunk(self, index: int, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        return chat.chunk(self.name, self._asked.model, index, delta, reason)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Returns the result of `work`; cancels it when the client hangs up."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=1.0)
            if not task.done() and await request.is_disconnected():
                raise Refused(499, "the client has gone")
        return task.result()
    finally:
        task.cancel()


async def _body(request: Request, most: int) -> bytes:
    """Reads a body up to the allowed size; one that is said to be larger is not read at all."""
    body, stated = b"", request.headers.get("content-length", "")
    try:
        if stated.isdecimal() and (len(stated) > 18 or int(stated) > most):
            raise _too_large(most)
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect as error:
        raise Refused(499, "the client has gone") from error
    return body


def _too_large(most: int) -> Refused:
    return Refused(413, f"the request is larger than {most:,} bytes", code="request_too_large")


def _read(body: bytes, bounds: Bounds, request: type[_Request]) -> chat.ChatRequest:
    try:
        given = request.model_validate_json(body)
        asked = given if isinstance(given, chat.ChatRequest) else given.chat()
    except ValidationError as error:
        message, parameter = chat.complaint(error)
        raise Refused(400, message, parameter=parameter or None) from error
    sizes = {
        "n": (asked.n, bounds.n),
        "max_tokens": (asked.tokens or 0, bounds.tokens),
        "messages": (sum(len(text) for _, text in asked.turns), bounds.characters),
        "public_tests": (sum(map(len, asked.public_tests)), bounds.characters),
    }
    for name, (size, most) in sizes.items():
        if size > most:
            unit = "characters" if name in ("messages", "public_tests") else name
            raise Refused(400, f"{name}: got {size:,} {unit}, at most {most:,} are served", parameter=name)
    return asked


def _authorised(request: Request, key: str | None) -> None:
    given = request.headers.get("authorization", "")
    if key is not None and not secrets.compare_digest(given.encode(), f"Bearer {key}".encode()):
        raise Refused(401, "wrong API key", code="invalid_api_key")


def _model_row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "o1coder-gym"}


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _status(error: O1CoderError) -> int:
    return 503 if isinstance(error, Cancelled) else 500


def _error(
    status: int, message: str, *, parameter: str | None = None, code: str | None = None
) -> dict[str, Any]:
    kind = (
        "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    body = _error(error.status, str(error), parameter=error.parameter, code=error.code)
    return JSONResponse(body, error.status, headers={"Retry-After": "1"} if error.status == 429 else None)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, O1CoderError)
    return JSONResponse(_error(_status(error), str(error)), _status(error))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        _error(error.status_code, str(error.detail)), error.status_code, headers=error.headers
    )
