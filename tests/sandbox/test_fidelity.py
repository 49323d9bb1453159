"""Verdicts beside those of the official graders, which are recorded in `fidelity/`."""

from pathlib import Path

import pytest

SETS = (
    "LiveCodeBench, whole programs",
    "LiveCodeBench, functions",
    "verl's prime_code, whole programs",
    "verl's prime_code, functions",
    "APPS, whole programs",
    "BigCodeBench",
    "HumanEval",
    "HumanEval+ and MBPP+",
)


@pytest.fixture(scope="module")
def verdicts(import_file):
    return import_file(Path(__file__).parents[2] / "benchmarks" / "fidelity" / "verdicts.py")


@pytest.mark.parametrize("title", SETS)
def test_verdicts_are_those_of_the_official_grader_or_differ_for_a_reason(verdicts, judge, title):
    (data_set,) = (one for one in verdicts.DATA_SETS if one.title == title)
    lines = verdicts.compare(data_set, judge)
    assert len(lines) >= 40
    assert [line for line in lines if line.right and line.official and not line.here] == []
    assert [line for line in lines if not line.right and line.here and not line.official] == []
    assert [line.name for line in lines if line.official != line.here and not line.why] == []


def test_the_page_says_what_is_so(verdicts, judge):
    assert tuple(one.title for one in verdicts.DATA_SETS) == SETS
    assert verdicts.PAGE.read_text() == verdicts.page(judge)
