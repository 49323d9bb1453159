"""The language-model generator, with an engine that says what it is told."""

from collections.abc import Sequence

import pytest

from o1coder_gym.policies import Completion, Counters, Generate
from o1coder_gym.sandbox import Judge
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.tcg.adversary.oracle import ask_model
from o1coder_gym.tcg.language_model import LanguageModelGenerator
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.tcg.template import instruction
from o1coder_gym.types import CallTest, GeneratedTests, Problem

PROBLEM = Problem("add", "Add two numbers.", "add")
CODE = "def add(a, b):\n    return a + b"


class Recital:
    """Answers every request with the next of its texts, one token a word."""

    parallel = 1
    counters = Counters()

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[Generate] = []

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        return ()

    def encode_more(self, text: str) -> tuple[int, ...]:
        return ()

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        self.asked += requests
        return [tuple(self._next() for _ in range(request.n)) for request in requests]

    def _next(self) -> Completion:
        text = self.texts.pop(0)
        return Completion(text, (), len(text.split()), None, "stop")


def test_the_template_is_asked_and_the_answer_is_read() -> None:
    engine = Recital("assert add(1, 2) == 3\nassert add(2, b=2) == 5\nassert add(x) == 1\n")
    made = LanguageModelGenerator(engine).generate(PROBLEM, 3, CODE, seed=7)
    assert made.tests == (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "5"))
    assert made.report == {
        "asked": 3, "written": 3, "unreadable": 1, "duplicate": 0, "parsed": 2, "tokens": 14,
    }  # fmt: skip
    assert made.raw.startswith("assert add(1, 2)")
    (request,) = engine.asked
    assert request.prompt.messages[0][1] == instruction(PROBLEM, CODE)
    assert request.n == 1
    assert request.boundary("assert 1\nassert 2\nassert 3\n") == 27


def test_each_problem_has_draws_of_its_own() -> None:
    """Equal seeds would make the luck of all problems one, and an interval over them too narrow."""
    engine = Recital(*["assert f(1) == 3\n"] * 8)
    for seed in (0, 0, 1):
        asked = [TestRequest(Problem(name, "?", "f"), 3, seed=seed) for name in "ab"]
        LanguageModelGenerator(engine).generate_batch(asked)
    first, again, other = ([one.seed for one in engine.asked[place : place + 2]] for place in (0, 2, 4))
    assert first == again
    assert len({*first, *other}) == 4
    ask = ask_model(engine, samples=1)
    ask(PROBLEM, ["[1, 2]", "[2, 2]"])
    assert len({one.seed for one in engine.asked[6:]}) == 2


def test_more_tests_take_more_completions_and_repeats_are_dropped() -> None:
    engine = Recital("assert add(1, 2) == 3\n", "assert add(1, 2) == 3\nassert add(0, 0) == 0\n")
    made = LanguageModelGenerator(engine, cases=2).generate(PROBLEM, 3)
    assert engine.asked[0].n == 2
    assert len(made.tests) == 2
    assert (made.report["written"], made.report["duplicate"]) == (3, 1)


def test_no_more_tests_than_asked() -> None:
    text = "".join(f"assert add({n}, 0) == {n}\n" for n in range(9))
    made = LanguageModelGenerator(Recital(text)).generate(PROBLEM, 3)
    assert len(made.tests) == made.report["parsed"] == 3


def test_mode_a_repairs_by_the_reference(judge: Judge) -> None:
    engine = Recital("assert add(1, 2) == 3\nassert add(2, 2) == 5\nassert add('a', 2) == 1\n")
    made = LanguageModelGenerator(engine, judge=judge).generate(PROBLEM, 3, CODE)
    assert made.tests == (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "4"))
    counts = {name: made.report[name] for name in ("confirmed", "repaired", "wrong", "invalid")}
    assert counts == {"confirmed": 1, "repaired": 1, "wrong": 0, "invalid": 1}


def test_modes_may_be_mixed_in_a_batch(judge: Judge) -> None:
    text = "assert add(1, 2) == 3\nassert add(2, 2) == 5\n"
    generator = LanguageModelGenerator(
        Recital(text, text, text),
        judge=judge,
        solutions=lambda problem: [CODE, CODE] if problem is PROBLEM else [],
    )
    alone = Problem("alone", "Add.", "add")
    requests = [TestRequest(alone, 3), TestRequest(PROBLEM, 3), TestRequest(PROBLEM, 3, CODE)]
    unchecked, voted, confirmed = generate_all(generator, requests)
    assert unchecked.tests == (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "5"))
    assert voted.tests == confirmed.tests == (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "4"))


@pytest.mark.parametrize("text", ["", "I am sorry.", "assert add(", "\x00\ud800"])
def test_garbage_is_counted_not_raised(text: str, judge: Judge) -> None:
    made = LanguageModelGenerator(Recital(text), judge=judge).generate(PROBLEM, 3, CODE)
    assert made.tests == ()
    assert made.report["parsed"] == 0


def test_any_generator_can_be_asked_for_many() -> None:
    class Plain:
        def generate(
            self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
        ) -> GeneratedTests:
            return GeneratedTests((), raw=f"{problem.task_id} {n} {reference} {seed}")

    (made,) = generate_all(Plain(), [TestRequest(PROBLEM, 4, "code", 2)])
    assert made.raw == "add 4 code 2"
