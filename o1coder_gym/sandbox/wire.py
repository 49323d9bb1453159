"""The wire formats between the trusted process, a zygote and its children.

Control socket: one `Request` (with the job's file descriptors) per job, answered by one `Report`.
Job channel: the trusted process writes the job and shuts its side down; the child answers with frames.
The zygote never reads a job channel, so nothing of a job stays in the memory that later candidates inherit.
"""

from __future__ import annotations

import enum
import marshal
import os
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

CHANNEL, RPC = 3, 4
"""File descriptors of a child: its job channel, and its line to the other child of the job."""


class Mode(enum.IntEnum):
    """The operation that a request asks of a zygote."""

    STOP = 0
    """Kill the running job; no file descriptors, no report of its own."""
    CALL = 1
    """Load a program, call its entry point; one descriptor: the channel."""
    STDIO = 2
    """Run a program; three descriptors: channel, standard input, standard output."""
    TESTER = 3
    """Run test code beside a program that it calls; two descriptors: both channels."""
    CHECKER = 4
    """Have a checker say whether an output is right; one descriptor: the channel."""
    PROGRESS = 5
    """The running job has answered another test: its next one has a limit of its own; no descriptors."""
    REPEAT = 6
    """Run a program once for each of several inputs; three descriptors: channel, and files in memory that
    stand for standard input and output."""
    WAITED = 7
    """Says how long the running job has waited for a core, as `wall_s`; no descriptors."""


class Ending(enum.IntEnum):
    """The cause of a child's end: itself, or one of the limits."""

    OWN = 0
    """It exited or crashed."""
    CPU = 1
    """It was killed for its CPU time."""
    WALL = 2
    """It was killed for waiting too long."""
    STOPPED = 3
    """It was killed because its answer was not needed any more."""
    TOTAL_CPU = 4
    """It was killed for the CPU time of all its tests."""
    STARVED = 5
    """It was killed because the machine hardly gave it a core, which says nothing about it."""


class Request(NamedTuple):
    """One job for a zygote; the content of the job travels by the channel alone.

    Attributes:
        mode: The operation.
        cpu_s: CPU seconds for each test.
        total_cpu_s: CPU seconds for the job.
        wall_s: Wall-clock seconds within which a job has to make progress.
        memory_bytes: Address space above that of the zygote.
        packages: Which packages the zygote should have imported, a bit each in the blueprint's order.
    """

    mode: int
    cpu_s: float = 0.0
    total_cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    packages: int = 0


class ChildReport(NamedTuple):
    """How one child ended: wait status as of ``os.wait``, an `Ending`, CPU seconds used."""

    status: int
    ending: int
    cpu_s: float


class Report(NamedTuple):
    """How a job ended.

    Attributes:
        kind: `REPORT`; or of a job that takes its time, the rest being empty, `SLOW`, a notice, and
            `ASKING`, a question: how long have its processes, whose pidfds come with it, waited for a core?
        clean: Whether the zygote can take another job; if not, it has to be replaced.
        children: The candidate, then the tester if there was one.
        own_s: Seconds from the job's start to its end, without those in which it waited for a core or the
            whole machine stood still. Counted here, since whoever reads the report may be late.
    """

    kind: int
    clean: bool
    children: tuple[ChildReport, ...]
    own_s: float = 0.0


REPORT, SLOW, FAILED, ASKING = 1, 2, 3, 4
"""Kinds of `Report`; `FAILED` says that no child could be started."""

# Little-endian and without padding: fixed sizes, so one recv with MSG_WAITALL takes a message whole.
_REQUEST = struct.Struct("<BdddqQ")
_REPORT = struct.Struct("<BBBd" + "iBd" * 2)
REQUEST_BYTES = _REQUEST.size
REPORT_BYTES = _REPORT.size

_NO_CHILD = (0, 0, 0.0)


def pack_request(request: Request) -> bytes:
    """Returns the wire form."""
    return _REQUEST.pack(*request)


def unpack_request(data: bytes) -> Request:
    """Reads `REQUEST_BYTES` bytes."""
    return Request(*_REQUEST.unpack(data))


def pack_report(report: Report) -> bytes:
    """Returns the wire form; at most two children."""
    absent = [_NO_CHILD] * (2 - len(report.children))
    fields = [field for child in (*report.children, *absent) for field in child]
    return _REPORT.pack(report.kind, report.clean, len(report.children), report.own_s, *fields)


def unpack_report(data: bytes) -> Report:
    """Reads `REPORT_BYTES` bytes."""
    kind, clean, count, own_s, *fields = _REPORT.unpack(data)
    children = tuple(ChildReport(*fields[start : start + 3]) for start in range(0, 3 * count, 3))
    return Report(kind, bool(clean), children, own_s)


class FrameKind(enum.IntEnum):
    """The kinds of messages that a child sends."""

    BEGUN = 1
    """The child is confined; all that follows may be written by the candidate."""
    VALUE = 2
    """A call returned; the body is the encoded value."""
    ERROR = 3
    """A call, or loading the program if the index is `WHOLE`, raised; the body says what."""
    MEMORY = 4
    """The same for MemoryError."""
    COMPILE = 5
    """The program does not compile."""
    DONE = 6
    """The program was loaded and all calls were made."""
    PASSED = 7
    """From a tester: the test of that index passed."""
    WRONG = 8
    """From a tester: the test failed."""
    GONE = 9
    """From a tester: the candidate's process ended, or answered nonsense, during the test."""
    UNSUPPORTED = 10
    """From a tester: the test hands over what cannot cross to the candidate's process."""


WHOLE = 0xFFFFFFFF
"""Index of frames that concern the program, not one call or test."""

_HEADER = struct.Struct("<BII")
BEGUN_FRAME = _HEADER.pack(FrameKind.BEGUN, WHOLE, 0)
"""Made in advance: each child sends it before anything else."""
_LENGTH = struct.Struct("<I")
_CHUNK = 1 << 16


class Frame(NamedTuple):
    """One message of a child: its kind, the index of the call or test it concerns, and its body."""

    kind: FrameKind
    about: int
    body: bytes


def write_frame(descriptor: int, kind: FrameKind, index: int, body: bytes = b"") -> None:
    """Writes one frame.

    Raises:
        OSError: When nobody reads any more.
    """
    write_all(descriptor, _HEADER.pack(kind, index, len(body)) + body)


def read_frames(data: bytes | bytearray, most: int = 1 << 20, start: int = 0) -> tuple[list[Frame], int]:
    """Reads what a child wrote; never raises.

    Args:
        data: Any bytes.
        most: Upper bound of frames read; a megabyte holds a hundred thousand empty ones.
        start: Offset of the first frame.

    Returns:
        The frames up to the first malformed or unfinished one, and the offset of that one.
    """
    frames: list[Frame] = []
    position = start
    while position + _HEADER.size <= len(data) and len(frames) < most:
        kind, index, length = _HEADER.unpack_from(data, position)
        body = position + _HEADER.size
        # The length is the candidate's word: it counts only as far as the bytes are there.
        if not FrameKind.BEGUN <= kind <= FrameKind.UNSUPPORTED or body + length > len(data):
            break
        frames.append(Frame(FrameKind(kind), index, bytes(data[body : body + length])))
        position = body + length
    return frames, position


def pack_job(*parts: Any) -> bytes:
    """Serializes the input of a child, a tuple of plain values, with marshal: the cheapest form to read.

    Only the trusted process writes this form, and only sandboxed children of the same interpreter read it.
    """
    return marshal.dumps(parts)


def read_job(descriptor: int) -> tuple[Any, ...]:
    """Reads one job from a stream, up to its end; the inverse of `pack_job`."""
    # One read suffices for nearly all jobs, and then nothing is copied.
    data = os.read(descriptor, _CHUNK)
    while chunk := os.read(descriptor, _CHUNK):
        data += chunk
    return marshal.loads(data)


def pack_fields(fields: Iterable[bytes]) -> bytes:
    """Joins byte strings so that `unpack_fields` can tell them apart."""
    return b"".join(_LENGTH.pack(len(field)) + field for field in fields)


def unpack_fields(data: bytes) -> list[bytes]:
    """Splits a message into its fields; the inverse of `pack_fields`.

    Raises:
        ValueError: When the message is malformed.
    """
    fields = []
    position = 0
    while position < len(data):
        if position + _LENGTH.size > len(data):
            raise ValueError("unfinished length")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if position + length > len(data):
            raise ValueError("unfinished field")
        fields.append(data[position : position + length])
        position += length
    return fields


def send_fields(descriptor: int, fields: Iterable[bytes]) -> None:
    """Writes one length-prefixed message of fields to a socket that stays open."""
    message = pack_fields(fields)
    write_all(descriptor, _LENGTH.pack(len(message)) + message)


def receive_fields(descriptor: int, limit: int) -> list[bytes]:
    """Reads one length-prefixed message of fields; both sides of the socket take turns.

    Args:
        descriptor: Where to read.
        limit: Most bytes that the message may have.

    Raises:
        EOFError: When the other side is gone.
        ValueError: When the message is malformed or too long.
    """
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size))
    if length > limit:
        raise ValueError("message too long")
    return unpack_fields(_read_exactly(descriptor, length))


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`.

    Raises:
        OSError: When nobody reads any more.
    """
    # One write takes nearly every message whole; only a full socket needs the loop and its view.
    written = os.write(descriptor, data)
    rest = memoryview(data)[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, size: int) -> bytes:
    """Reads `size` bytes and none of what follows: what one read takes in must not depend on timing."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(descriptor, min(size - len(data), _CHUNK))
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
    return bytes(data)
