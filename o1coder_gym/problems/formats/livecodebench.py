"""LiveCodeBench (Jain et al. 2024), and the part of it whose tests were verified."""

from __future__ import annotations

import ast
import json
import pickletools
from collections.abc import Mapping
from typing import Any

from o1coder_gym.problems.formats.reading.fields import decoded, get, optional, unpacked, wrong
from o1coder_gym.problems.formats.reading.io_tests import function_name, io_tests, pairs_of
from o1coder_gym.problems.formats.reading.question_row import limits_of, meta_of, question_row, starter_of
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import AssertTest, TestCase

_TEXT_ONLY = {
    *("PROTO", "FRAME", "STOP", "MEMOIZE", "BINPUT", "LONG_BINPUT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
"""What a pickle of one text is made of; anything else could call something when it is loaded."""


def livecodebench(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: ``public_test_cases``. Hidden: these and the packed private ones. There is no reference."""
    metadata = decoded(raw, "metadata", dict) if raw.get("metadata") is not None else {}
    function = metadata.get("func_name")
    if function is not None:
        function = function_name(function, "metadata.func_name")
    public, private = (
        pairs_of(cases, name)
        for name, cases in (
            ("public_test_cases", decoded(raw, "public_test_cases", list)),
            ("private_test_cases", _private(get(raw, "private_test_cases", (str, list)))),
        )
    )
    return question_row(
        origin,
        get(raw, "question_id", (str, int)),
        get(raw, "question_content", str),
        io_tests([*public, *private], function, "public_test_cases"),
        entry_point=function,
        public=io_tests(public, function, "public_test_cases") if public else (),
        starter=starter_of(raw),
        compare="livecodebench",
        meta=meta_of(raw, "question_title", "platform", "contest_id", "contest_date", "difficulty"),
    )


def _private(packed: str | list[Any]) -> list[Any]:
    """Unpacks base64 of zlib of a pickle of JSON; the pickle is read, never loaded."""
    if isinstance(packed, list):
        return packed
    try:
        return _listed(json.loads(packed))
    except ValueError:
        pass  # not JSON, so that it is packed
    try:
        return _listed(json.loads(_pickled_text(unpacked(packed))))
    except ValueError as error:
        raise wrong("private_test_cases", f"cannot be unpacked: {error}") from error


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise wrong("private_test_cases", f"unexpected {type(value).__name__}")
    return value


def _pickled_text(data: bytes) -> str:
    """Returns the one text that a pickle holds, by its opcodes.

    Raises:
        ValueError: When it holds anything else.
    """
    texts = []
    # pickle.load would run what a downloaded file names; its opcodes can be read without that.
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in _TEXT_ONLY:
            raise ValueError(f"the pickle is not of a text: {opcode.name}")
        if isinstance(argument, str):
            texts.append(argument)
    if len(texts) != 1:
        raise ValueError(f"the pickle is of {len(texts)} texts, not of one")
    return texts[0]


def livecodebench_verified(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: ``public_tests``. Hidden: ``tests``; both are code that calls the function of the row."""
    function = function_name(get(raw, "entry_point", str), "entry_point")
    metadata, signature = optional(raw, "metadata", dict), optional(raw, "function_signature", str)
    return question_row(
        origin,
        metadata.get("question_id") or raw.get("index", origin.index),
        get(raw, "question", str),
        _coded(raw, "tests"),
        entry_point=function,
        public=_coded(raw, "public_tests"),
        starter=signature,
        reference=optional(raw, "solution", str) or None,
        meta=meta_of(metadata, "question_title", "platform", "contest_id", "contest_date", "difficulty")
        | limits_of(raw, "time_limit_seconds", "memory_limit_MB"),
    )


def _coded(raw: Mapping[str, Any], name: str) -> tuple[TestCase, ...]:
    """Returns tests that are programs of asserts."""
    tests = []
    for index, code in enumerate(optional(raw, name, list)):
        where = f"{name}[{index}]"
        if not isinstance(code, str):
            raise wrong(where, "expected code")
        tree = parse_code(code, where)
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
            raise wrong(where, "asserts nothing")
        tests.append(AssertTest(code))
    return tuple(tests)


LIVECODEBENCH = RowFormat(
    frozenset({"question_content", "public_test_cases", "private_test_cases"}), livecodebench
)
LIVECODEBENCH_VERIFIED = RowFormat(
    frozenset({"question", "entry_point", "public_tests", "function_signature"}), livecodebench_verified
)
