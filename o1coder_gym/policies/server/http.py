"""JSON over HTTP to one or several equal servers: pool, time-outs, retries with back-off, fail-over."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import time
import weakref
import zlib
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from o1coder_gym.errors import PolicyError, UsageError, require

if TYPE_CHECKING:
    import ssl

    import httpx

_LOG = logging.getLogger(__name__)

# Overload and passing failures; all other 4xx blame the request, which no retry would mend.
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# Sent as 429 like overload, but waiting helps neither.
_FINAL = ("insufficient_quota", "billing_hard_limit")
# Sent as 5xx like a failure, but it is the conversation that the model's template refuses.
_OF_THE_TEMPLATE = re.compile(r"jinja|chat.?template|raise_exception|\broles? (are|must|not|should)\b", re.I)
# LM Studio's 404, sent with status 200.
_NO_ENDPOINT = re.compile(r"unexpected endpoint", re.I)
_OUTSIDE_V1 = re.compile(r"(?<!/v1)/(chat/)?completions$")
LONGEST_WAIT_S = 600.0
"""What a server may ask to wait; one that asks for more is given up."""


@cache
def _trusted() -> ssl.SSLContext:
    """Returns the certificates that all pools trust; to read them takes 100 times as long as all else."""
    import httpx

    return httpx.create_ssl_context()


def own_key() -> dict[str, str]:
    """Returns the header with the key of ``OPENAI_API_KEY``; empty without one.

    Raises:
        UsageError: When a header cannot hold it; does not show it.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()  # keys read from files end in a line end
    if not (key.isascii() and key.isprintable()):
        raise UsageError("OPENAI_API_KEY holds line ends or letters beyond ASCII; it is to be one key")
    return {"Authorization": f"Bearer {key}"} if key else {}


def new_client(headers: Mapping[str, str], timeout: httpx.Timeout | float, **named: Any) -> httpx.Client:
    """Returns a client of httpx with this machine's certificates and proxies.

    Args:
        headers: Sent with each request.
        timeout: For one answer, in seconds.
        named: Further arguments of the client.

    Raises:
        UsageError: When the environment names certificates or a proxy that cannot be used.
    """
    import httpx

    try:
        return httpx.Client(headers=dict(headers), verify=_trusted(), timeout=timeout, **named)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:  # OSError: of certificates
        raise UsageError(f"the environment's proxy or certificates cannot be used: {error}") from error


class Refused(PolicyError):
    """Raised when a server answers that the request itself is wrong; no retry would help."""

    def __init__(self, url: str, status: int, body: str) -> None:
        """Args: the address, the HTTP status, all that the server said."""
        outside = status == 404 and _OUTSIDE_V1.search(urlsplit(url).path)
        hint = " (addresses of servers usually end in /v1)" if outside else ""
        super().__init__(f"{url}: HTTP {status}: {shortened(body)}{hint}")
        self.words = body
        self.parameter = _parameter(body)


class Servers:
    """A pool of connections to servers that serve the same model; for any number of threads."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        headers: Mapping[str, str],
        connections: int,
        timeout_s: float,
        tries: int,
        backoff_s: float,
    ) -> None:
        """Sets the pool up; connects to nothing yet.

        Args:
            urls: Base URLs, e.g. ``http://localhost:8000/v1``.
            headers: Sent with each request.
            connections: Open at the same time, over all servers.
            timeout_s: For one answer.
            tries: Attempts for one request in all, each at the next server; ≥ 1.
            backoff_s: Mean wait before the second attempt; doubles with each, at most 30 s.

        Raises:
            MissingExtraError: When httpx is not installed.
            UsageError: When an address is none of HTTP, or the environment names certificates or a proxy that
                cannot be used.
        """
        self._urls = checked_addresses(urls)
        import httpx

        self._tries = tries
        self._backoff_s = backoff_s
        self._client = new_client(
            headers,
            # No limit on the wait for a connection: more requests than connections is the usual state, not a
            # failure.
            httpx.Timeout(timeout_s, connect=min(10.0, timeout_s), pool=None),
            follow_redirects=True,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        # A policy is seldom closed by its user: its connections end with it, at the latest with the process.
        weakref.finalize(self, self._client.close)

    def check(self) -> None:
        """Asks the servers whether they are there, until one is, whatever it says.

        Raises:
            PolicyError: When none can be connected to; names the last failure.
        """
        import httpx

        failure = ""
        for base in self._urls:
            try:
                self._client.get(address(base, "models"), timeout=10.0)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = f"{base}: {error}"
            except httpx.RequestError:  # it is there, and slow or odd
                return
            else:
                return
        raise PolicyError(f"no server answers at {failure}")

    def post(self, path: str, body: Mapping[str, Any], *, affinity: str = "") -> dict[str, Any]:
        """Posts `body` and returns the answer's JSON object.

        Args:
            path: Below the base URL; an absolute one, ``/tokenize``, below the server's root.
            body: JSON-able.
            affinity: Requests with equal values try the same server first, for its prefix cache.

        Raises:
            Refused: When the server answers 4xx, except those that ask to try again; when it redirects to
                another address that gets no body; when it has no JSON beside the OpenAI interface.
            PolicyError: When no server gave an answer; names the last one and its failure.
        """
        # A stable hash: a prompt meets the server that has its prefix cached, in every process.
        first = zlib.crc32(affinity.encode())
        failure = ""
        for attempt in range(self._tries):
            base = self._urls[(first + attempt) % len(self._urls)]
            answer, failure, wait_s = self._try(address(base, path), body, outside=path.startswith("/"))
            if answer is not None:
                return answer
            if wait_s is not None and wait_s > LONGEST_WAIT_S:
                raise PolicyError(f"{failure} (asks to wait {wait_s:.0f} s)")
            if attempt + 1 < self._tries:
                # "At once" is obeyed once: a server that goes on saying so would use up all tries in no time.
                pause_s = wait_s or self._wait_s(attempt)
                if wait_s == 0 and attempt == 0:
                    pause_s = 0.0
                _LOG.info("%s; again in %.1f s", failure, pause_s)
                time.sleep(pause_s)
        raise PolicyError(f"{failure} (tried {self._tries} times)")

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def _wait_s(self, attempt: int) -> float:
        """Exponential back-off with full jitter around the mean."""
        return min(30.0, self._backoff_s * 2**attempt) * random.uniform(0.5, 1.5)

    def _try(
        self, url: str, body: Mapping[str, Any], *, outside: bool
    ) -> tuple[dict[str, Any] | None, str, float | None]:
        """Returns the answer or None, what went wrong, and the seconds that the server asks to wait."""
        import httpx

        try:
            response = self._client.post(url, json=dict(body))
        except httpx.RequestError as error:
            return None, f"{url}: {type(error).__name__}: {error}", None
        status, words, answer = response.status_code, response.text, json_object(response.content)
        if response.request.method != "POST":  # by the standard, 301 to 303 drop the request
            raise Refused(url, status, f"redirected to {response.url}; name the address there")
        if status < 400 and answer and not answer.get("choices") and (error := answer.get("error")):
            # Gateways send the failure of what stands behind them with status 200.
            code = error.get("code") if isinstance(error, Mapping) else None
            known = 404 if _NO_ENDPOINT.search(words) else 502
            status = code if isinstance(code, int) and code >= 400 else known
        final = any(word in words for word in _FINAL) or (status >= 500 and _OF_THE_TEMPLATE.search(words))
        if status in _RETRIED and not final:
            said = f": {shortened(words)}" if words.strip() else ""
            return None, f"{url}: HTTP {status}{said}", retry_after(response.headers)
        # A page for people, instead of 404: there is no such endpoint.
        if status >= 400 or (answer is None and outside):
            raise Refused(url, status, words)
        return answer, f"{url}: the answer is not JSON that is an object: {shortened(words)[:60]!r}", None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a server asks to wait, given as a number or as a date; None if it does not."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    if (seconds := _number(text)) is not None:
        return seconds
    if (until := _timestamp(text)) is None:
        return None
    # A date is one of the server's clock, which this machine's may be far from.
    now = _timestamp(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def checked_addresses(urls: Sequence[str]) -> list[str]:
    """Returns base URLs without slashes at their ends, and without those that are empty.

    Raises:
        MissingExtraError: When httpx is not installed.
        UsageError: When there is none, or no server can have one.
    """
    require("openai", "httpx")
    found = [base_url(url) for url in urls if url.strip()]
    if not found:
        raise UsageError(f"{','.join(urls)!r} is not the address of a server")
    return found


def base_url(url: str) -> str:
    """Returns a base URL without blanks around it and a slash at its end.

    Raises:
        UsageError: When no server can have it.
    """
    import httpx

    url = url.strip()
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is not the address of a server; did you mean http://{url}?")
    try:
        parts = urlsplit(url)
        if not httpx.URL(url).host.encode("idna") or parts.port == 0:
            raise ValueError("it names no host")
    except (httpx.InvalidURL, ValueError) as error:
        raise UsageError(f"{url!r} is not the address of a server: {error}") from error
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def address(base: str, path: str) -> str:
    """Returns where a path lies at a server; the base URL may have a query, a version for instance."""
    parts = urlsplit(base)
    # vLLM has /tokenize at its root, the OpenAI interface below /v1.
    whole = parts.path.removesuffix("/v1") + path if path.startswith("/") else f"{parts.path}/{path}"
    return urlunsplit(parts._replace(path=whole))


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def json_object(content: bytes) -> dict[str, Any] | None:
    """Returns an answer's JSON object; None where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def shortened(text: str) -> str:
    """Returns the beginning of what a server said, on one line."""
    return " ".join(text.split())[:300]


def _parameter(body: str) -> str:
    """Returns the parameter that a refusal blames, as OpenAI's answers name it; else ""."""
    try:
        error = json.loads(body)["error"]
        named = error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return named if isinstance(named, str) else ""
