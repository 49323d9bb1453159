"""Held out is held out: by what problems compute, not by their words alone."""

import random

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.micro.behaviour import PROBES, behaviour, is_irreducible
from o1coder_gym.experiments.micro.operations import Pipeline, Stage, program
from o1coder_gym.experiments.micro.problems import draw_pipelines, micro_rows, question
from o1coder_gym.experiments.micro.splits import SHARES, TRACES, is_held_out, split_of
from o1coder_gym.experiments.micro.tiny_model import TinySettings, training_chats
from o1coder_gym.experiments.micro.traces import trace
from o1coder_gym.problems.likeness.overlap import overlaps
from tests.experiments.micro.programs import code_of, outputs

COUNTS = {"test": 24, "validation": 12, "train": 60, TRACES: 80}
EVEN, ODD, SORT, SUM = Stage("even"), Stage("odd"), Stage("sort"), Stage("sum")
SQUARE, COUNT = Stage("square"), Stage("count")


def test_probes_have_every_kind_of_list() -> None:
    assert len(PROBES) >= 250
    assert () in PROBES
    assert {(value,) for value in range(-40, 41)} <= set(PROBES)
    assert any(len(set(probe)) < len(probe) <= 10 for probe in PROBES)
    assert max(map(len, PROBES)) >= 50
    assert len(set(PROBES)) > 0.95 * len(PROBES)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((SORT, SUM), (SUM,)),
        ((Stage("add", 2), Stage("add", 3), SUM), (Stage("add", 3), Stage("add", 2), SUM)),
        ((Stage("reverse"), SORT, Stage("list")), (SORT, Stage("list"))),
        ((SQUARE, Stage("above", 4), COUNT), (SQUARE, Stage("above", 5), COUNT)),
    ],
)
def test_pipelines_that_compute_the_same_behave_the_same(one: Pipeline, two: Pipeline) -> None:
    assert behaviour(one) == behaviour(two)
    assert split_of(one) == split_of(two)


def test_behaviours_of_other_functions_differ() -> None:
    assert behaviour((EVEN, SUM)) != behaviour((ODD, SUM))
    assert behaviour((Stage("above", 8), SUM)) != behaviour((Stage("above", 9), SUM))
    assert behaviour((SORT, Stage("list"))) != behaviour((Stage("reverse"), Stage("list")))


def test_no_stage_is_idle() -> None:
    assert is_irreducible((EVEN, SUM))
    assert not is_irreducible((SORT, SUM))  # sorting does not change a sum
    assert not is_irreducible((Stage("add", 3), Stage("subtract", 3), SUM))  # neither alone, both together
    assert not is_irreducible((EVEN, ODD, SUM))  # always 0
    assert all(map(is_irreducible, draw_pipelines(30, 5)))


def test_splits_share_no_function_and_no_text_and_repeat_none() -> None:
    drawn = {split: draw_pipelines(count, 4, split) for split, count in COUNTS.items()}
    pipelines = [pipeline for split in drawn.values() for pipeline in split]
    assert len({outputs(program(pipeline)) for pipeline in pipelines}) == sum(COUNTS.values())
    assert len({question(pipeline) for pipeline in pipelines}) == sum(COUNTS.values())
    assert all(split_of(pipeline) == split for split, found in drawn.items() for pipeline in found)


def test_problems_that_are_held_out_by_behaviour_are_not_reported_as_training_problems() -> None:
    rows = micro_rows({"train": 60, "validation": 12, "test": 24})
    assert overlaps(rows[:60], rows[60:], ways=("question", "tests")) == []  # all are `solve`, and take []


def test_a_split_does_not_depend_on_the_seed_nor_on_other_splits() -> None:
    assert micro_rows({"test": 3}, 2) == micro_rows({"train": 4, "test": 3}, 2)[4:]
    held_out = {behaviour(pipeline) for seed in range(3) for pipeline in draw_pipelines(8, seed, "test")}
    taught = {behaviour(pipeline) for seed in range(3) for pipeline in draw_pipelines(8, seed, "train")}
    assert not held_out & taught


def test_an_unknown_split_or_count_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown split of micro-problems 'dev'; known: test"):
        micro_rows({"dev": 1})
    with pytest.raises(UsageError, match="a count from 0 to"):
        draw_pipelines(-1, 0)
    assert sum(SHARES.values()) == 100


def test_slips_never_write_what_is_not_allowed() -> None:
    generator = random.Random(1)
    pipeline = next(found for found in draw_pipelines(40, 1, TRACES) if ODD in found)
    forbidden = tuple(EVEN if stage == ODD else stage for stage in pipeline)
    codes = {
        trace(pipeline, generator, allowed=lambda meant: meant != forbidden)[-1].text for _ in range(100)
    }
    assert program(forbidden) not in codes
    assert program(pipeline) in codes


def test_no_trace_of_any_seed_computes_what_is_held_out() -> None:
    pipelines = draw_pipelines(30, 3, TRACES)
    assert not any(map(is_held_out, pipelines))
    taught = {outputs(code_of(answer)) for _, answer in training_chats(TinySettings(traces=90, seed=3))}
    assert not taught & {outputs(program(found)) for found in draw_pipelines(60, 9, "test")}
