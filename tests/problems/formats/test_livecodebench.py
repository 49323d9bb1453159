"""The packed tests of LiveCodeBench are read without loading a pickle."""

import base64
import json
import pickle
import zlib

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.livecodebench import livecodebench, livecodebench_verified
from o1coder_gym.problems.formats.row_format import Origin

HERE = Origin("set", 0)
CASES = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
ROW = {
    "question_id": "q",
    "question_content": "Add one.",
    "public_test_cases": json.dumps(CASES),
    "metadata": "{}",
    "starter_code": "",
}


def packed(value, protocol=4):
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol=protocol))).decode()


@pytest.mark.parametrize("protocol", range(1, 6))
def test_pickles_of_a_text_are_read_in_each_protocol(protocol):
    more = [{"input": str(n), "output": "ü" * 300, "testtype": "stdin"} for n in range(200)]
    row = livecodebench(ROW | {"private_test_cases": packed(json.dumps(more), protocol)}, HERE)
    assert len(row.tests) == 201
    assert len(row.problem.public_tests) == 1


LOADED = []


def note_that_it_was_loaded():
    LOADED.append(True)


class Evil:
    def __reduce__(self):
        return note_that_it_was_loaded, ()


@pytest.mark.parametrize(
    ("private", "reason"),
    [
        (packed(Evil()), "the pickle is not of a text: "),
        (packed(["[]"]), "the pickle is not of a text: "),
        (packed("[]")[:-8], "cannot be unpacked"),
        (packed("{"), "cannot be unpacked"),
        (packed("{}"), "field 'private_test_cases': unexpected dict"),
        ("no base64!", "cannot be unpacked"),
        (base64.b64encode(b"no zlib").decode(), "cannot be unpacked"),
        (base64.b64encode(zlib.compress(b"no pickle")).decode(), "cannot be unpacked"),
    ],
)
def test_anything_else_is_refused_and_not_run(private, reason):
    with pytest.raises(ProblemFileError, match="field 'private_test_cases'") as caught:
        livecodebench(ROW | {"private_test_cases": private}, HERE)
    assert reason in str(caught.value)
    assert not LOADED


def test_a_row_without_tests_is_refused():
    empty = ROW | {"public_test_cases": "[]", "private_test_cases": "[]"}
    with pytest.raises(ProblemFileError, match="field 'public_test_cases': has no tests"):
        livecodebench(empty, HERE)


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([5], r"field 'tests\[0\]': expected code"),
        (["assert f(1) =="], r"field 'tests\[0\]': not Python"),
        (["f(1)"], r"field 'tests\[0\]': asserts nothing"),
    ],
)
def test_verified_tests_have_to_be_asserts(tests, message):
    raw = {"question": "q", "entry_point": "f", "tests": tests, "public_tests": [], "function_signature": ""}
    with pytest.raises(ProblemFileError, match=message):
        livecodebench_verified(raw, HERE)
