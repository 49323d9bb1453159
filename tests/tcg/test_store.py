"""Files of tests and programs, names of generators."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import ProblemFileError, UnknownNameError, UsageError
from o1coder_gym.experiments.training.tcg import SelectionSettings, select_programs
from o1coder_gym.policies import ScriptedPolicy
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.sandbox import Judge
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.tcg.checking.solutions import read_programs, sample_programs, source_of
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.store import TestStore, read_generated, read_tests
from o1coder_gym.types import CallTest, GeneratedTests, Problem

PROBLEM = Problem("p", "Double it.", "double")


class Counting:
    """Makes one test, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def generate(
        self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
    ) -> GeneratedTests:
        self.calls += 1
        return GeneratedTests((CallTest(f"[{n}]", f"{seed}"),))


def test_a_store_asks_once_also_after_it_is_opened_again(tmp_path: Path) -> None:
    path, generator = tmp_path / "tests" / "store.jsonl", Counting()
    store = TestStore(path, generator, "counting")
    first = store.tests([TestRequest(PROBLEM, 3)])
    assert first == {"p": (CallTest("[3]", "0"),)}
    assert store.tests([TestRequest(PROBLEM, 3)]) == first
    assert TestStore(path, generator, "counting").tests([TestRequest(PROBLEM, 3)]) == first
    assert generator.calls == 1
    for other in (TestRequest(PROBLEM, 4), TestRequest(PROBLEM, 3, "code"), TestRequest(PROBLEM, 3, seed=1)):
        store.tests([other])
    TestStore(path, generator, "another").tests([TestRequest(PROBLEM, 3)])
    assert generator.calls == 5


def test_a_line_that_a_kill_has_torn_is_cut_off(tmp_path: Path) -> None:
    path, generator = tmp_path / "store.jsonl", Counting()
    TestStore(path, generator, "counting").tests([TestRequest(PROBLEM, 3), TestRequest(PROBLEM, 4)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    TestStore(path, generator, "counting").tests([TestRequest(PROBLEM, 3), TestRequest(PROBLEM, 4)])
    assert generator.calls == 3
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"task_id": "p", "key": "k", "tests": [{}]}'])
def test_broken_files_are_named_with_their_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ProblemFileError, match="line 1"):
        TestStore(path, Counting(), "counting")
    with pytest.raises(ProblemFileError, match="line 1"):
        read_tests(path)
    with pytest.raises(ProblemFileError, match="line 1"):
        read_programs(path)


def test_programs_are_grouped_by_problem(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    rows = [("a", "x = 1"), ("b", "x = 2"), ("a", "x = 3")]
    path.write_text("".join(json.dumps({"task_id": task, "code": code}) + "\n" for task, code in rows))
    programs = read_programs(path)
    assert programs == {"a": ["x = 1", "x = 3"], "b": ["x = 2"]}
    assert source_of(programs)(Problem("b", "?", "f")) == ["x = 2"]
    assert source_of(programs)(Problem("c", "?", "f")) == ()
    path.write_text('{"task_id": "a", "completion": "    return 1"}')
    with pytest.raises(ProblemFileError, match="got a completion, expected a program"):
        read_programs(path)


def test_programs_are_sampled_from_a_policy() -> None:
    script = {"draw": "cycle", "problems": {"*": [{"type": "code", "text": "x = 1"}, {"raw": "no code"}]}}
    policy = ScriptedPolicy.from_rows(script, VANILLA)
    assert sample_programs(policy, [PROBLEM], 3) == {"p": ["x = 1", "no code", "x = 1"]}
    random = ScriptedPolicy.from_rows({**script, "draw": "random"}, VANILLA)
    problems = [replace(PROBLEM, task_id=name) for name in "abc"]
    sampled = sample_programs(random, problems, 20)
    assert sampled == sample_programs(random, problems, 20)
    # each problem has draws of its own
    assert len({tuple(programs) for programs in sampled.values()}) == 3


def test_generators_have_names(judge: Judge) -> None:
    assert isinstance(load_generator("mutation", judge), MutationGenerator)
    assert isinstance(load_generator("mutation?pool=7", judge), MutationGenerator)
    with pytest.raises(UnknownNameError, match="mutation"):
        load_generator("mutant", judge)
    with pytest.raises(UnknownNameError, match="pool"):
        load_generator("mutation?size=3", judge)
    with pytest.raises(UsageError):
        load_generator("mutation?pool=0", judge)


def test_a_policy_without_a_language_model_writes_no_tests(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"problems": {"*": [{"type": "code", "text": "x = 1"}]}}))
    with pytest.raises(UsageError, match="cannot write tests"):
        load_generator(f"scripted:{path}", judge)


@pytest.mark.parametrize(
    "changed",
    [
        replace(PROBLEM, public_tests=(CallTest("[1]", "2"),)),
        replace(PROBLEM, prelude="import math"),
        replace(PROBLEM, meta={"cpu_s": 9}),
        replace(PROBLEM, prompt="Double it!"),
    ],
)
def test_a_changed_problem_is_asked_for_anew(tmp_path: Path, changed: Problem) -> None:
    path, generator = tmp_path / "store.jsonl", Counting()
    TestStore(path, generator, "counting").tests([TestRequest(PROBLEM, 3)])
    TestStore(path, generator, "counting").tests([TestRequest(changed, 3)])
    assert generator.calls == 2


def test_the_tests_of_a_run_that_an_earlier_version_began_are_kept(tmp_path: Path) -> None:
    path, generator = tmp_path / "store.jsonl", Counting()
    key = content_hash(["mutation", "p", PROBLEM.prompt, "double", None, 3, 0])
    old = {"task_id": "p", "key": key, "tests": [{"kind": "call", "args": "[9]", "expected": "18"}]}
    path.write_text(json.dumps(old) + "\n")
    store = TestStore(path, generator, "mutation {}", earlier="mutation")
    assert store.tests([TestRequest(PROBLEM, 3)]) == {"p": (CallTest("[9]", "18"),)}
    (fresh, *_) = TestStore(path, generator, "mutation {}").tests([TestRequest(PROBLEM, 3)])["p"]
    assert isinstance(fresh, CallTest)
    assert fresh.args == "[3]"


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\x0bb\x1cc"])
def test_texts_in_a_store_may_hold_any_line_end(tmp_path: Path, text: str) -> None:
    class Odd:
        def generate(
            self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
        ) -> GeneratedTests:
            return GeneratedTests((CallTest(repr([text]), repr(text)),), weights=(0.75,))

    path = tmp_path / "store.jsonl"
    made = TestStore(path, Odd(), "odd").tests([TestRequest(PROBLEM, 1)])
    assert TestStore(path, Odd(), "odd").tests([TestRequest(PROBLEM, 1)]) == made
    assert read_tests(path) == made
    assert json.loads(path.read_text(encoding="utf-8"))["weights"] == [0.75]
    programs = tmp_path / "programs.jsonl"
    programs.write_text(
        json.dumps({"task_id": "p", "code": text}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_programs(programs) == {"p": [text]}


def test_the_weights_of_tests_are_read_with_them(tmp_path: Path) -> None:
    path = tmp_path / "tests.jsonl"
    store = TestStore(tmp_path / "store.jsonl", Weighted((0.25,)), "weighted")
    store.tests([TestRequest(PROBLEM, 1)])
    assert read_generated(tmp_path / "store.jsonl")["p"].weights == (0.25,)
    stored = json.loads((tmp_path / "store.jsonl").read_text())
    for weights, fine in ((None, True), ([], True), ([1.0], True), ([0.5, 0.5], False), ([1.5], False)):
        row = {"task_id": "p", "tests": stored["tests"]} | ({} if weights is None else {"weights": weights})
        path.write_text(json.dumps(row) + "\n")
        if fine:
            assert read_generated(path)["p"].weights == tuple(weights or ())
        else:
            with pytest.raises(ProblemFileError, match="line 1"):
                read_generated(path)


class Weighted:
    """Makes one test with given weights."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        self.weights = weights

    def generate(
        self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
    ) -> GeneratedTests:
        return GeneratedTests((CallTest("[1]", "2"),), weights=self.weights)


def test_programs_are_chosen_by_what_votes_weigh(tmp_path: Path) -> None:
    """Two doubtful tests against one that all voters stand behind: by number the wrong program would win."""
    right, wrong = "def double(n):\n    return 2 * n", "def double(n):\n    return n + 1"
    problems, solutions, tests = (tmp_path / f"{name}.jsonl" for name in ("problems", "solutions", "tests"))
    problems.write_text(
        json.dumps({"task_id": "p", "prompt": "Double it.", "entry_point": "double", "tests": []}) + "\n"
    )
    solutions.write_text("".join(json.dumps({"task_id": "p", "code": one}) + "\n" for one in (wrong, right)))
    cases = [{"kind": "call", "args": f"[{n}]", "expected": str(out)} for n, out in ((5, 10), (2, 3), (3, 4))]
    for weights, index in (([], 0), ([1.0, 0.2, 0.2], 1)):
        tests.write_text(json.dumps({"task_id": "p", "tests": cases, "weights": weights}) + "\n")
        for by in ("tests", "codet"):
            settings = SelectionSettings(problems=str(problems), solutions=solutions, tests=tests, by=(by,))
            (chosen,) = select_programs(settings)
            assert chosen["index"] == index, (by, weights)
