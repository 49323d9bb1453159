"""What every request passes: the key, the size, the schema, and whether the client is still there."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from o1coder_gym.errors import O1CoderError, ProblemFileError, UsageError

_Body = TypeVar("_Body", bound=BaseModel)


class Refused(O1CoderError):
    """Raised when a request is answered by an HTTP error."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        """Args: HTTP status, one line, the field that is wrong."""
        super().__init__(message)
        self.status, self.field = status, field


def authorise(request: Request, key: str | None) -> None:
    """Lets in who brings the key; without a key this machine alone."""
    if key is None:
        if "origin" in request.headers:  # a page in a browser of this machine speaks for whoever wrote it
            raise Refused(403, "set O1CODER_API_KEY to serve web pages")
        if not _is_here(request.client.host if request.client else ""):
            raise Refused(403, "set O1CODER_API_KEY to serve other machines")
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = given or request.query_params.get("token", "")
    # In constant time, so that response times do not reveal the key.
    if not secrets.compare_digest(given.encode(), key.encode()):
        raise Refused(401, "wrong API key")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # no address at all: a socket of this machine, or a test's client
        return True


async def body(request: Request, most: int) -> bytes:
    """Reads a body without keeping more of it than is allowed."""
    parts, size = [], 0
    # Refused before anything is read; a client that states no length is stopped while reading.
    stated = request.headers.get("content-length") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", stated):
        raise Refused(400, "is no number of bytes", "content-length")
    if int(stated) > most:
        raise Refused(413, f"the request is larger than {most:,} bytes")
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise Refused(413, f"the request is larger than {most:,} bytes")
            parts.append(part)
    except ClientDisconnect as error:
        raise Refused(499, "the client has gone") from error
    return b"".join(parts)


def read(raw: bytes, kind: type[_Body]) -> _Body:
    """Reads a body; the first thing that is wrong with it is refused by the name of its field."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise Refused(400, first["msg"], ".".join(map(str, first["loc"]))) from error


async def unless_gone(request: Request, work: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Returns what `work` returns; ends it when the client hangs up."""
    task, working = asyncio.current_task(), True
    assert task is not None
    gone = asyncio.ensure_future(request.receive())

    def hung_up(_: asyncio.Future[Any]) -> None:
        if working:
            task.cancel()

    gone.add_done_callback(hung_up)
    try:
        return await work
    except asyncio.CancelledError:
        # Counted, since a server that shuts down cancels the same task.
        if gone.done() and not task.uncancel():
            raise Refused(499, "the client has gone") from None
        raise
    finally:
        working = False
        gone.cancel()


async def answer(request: Request, error: Exception) -> Response:
    """Answers a request that failed."""
    status = 400 if isinstance(error, UsageError | ProblemFileError) else 503
    if isinstance(error, Refused):
        status = error.status
    body = {"error": {"message": str(error), "field": getattr(error, "field", None)}}
    return json_response(body, status, {"Retry-After": "1"} if status == 429 else None)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns an answer; a number that JSON does not have (NaN) is null."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
