"""Rules which output is right where programs differ, with a confidence; uses no reference and no hidden test.

Three witnesses: the programs, by behaviour class; a language model asked for that one output; and properties
of the question, which no vote outweighs easily.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from o1coder_gym.policies import Engine, Generate
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps import prompts
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.tcg.adversary.attack import Attack
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, is_failure, is_output
from o1coder_gym.tcg.adversary.properties import lacking, properties_of
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.reading.literals import parse_expression, read_literal, write_literal
from o1coder_gym.types import Problem, Sampling

Ask: TypeAlias = Callable[[Problem, Sequence[str]], list[list[str]]]
"""Asks somebody for the outputs of inputs; for each input the outputs told, each a vote, perhaps none."""

LACKING = 0.2
"""What a vote counts for an output that lacks a property of the question, for each property."""
ANSWER = Sampling(temperature=0.8, top_p=0.95, top_k=50, max_tokens=128)
"""How a language model's answers for the output of an input are drawn."""
CONFIDENT = 0.5
"""Share of the votes that most of them exceed; a ruling with half of the votes is the toss of a coin."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The output that counts as right on one input.

    Attributes:
        input: The input.
        right: Name of what programs do there (`behaviour.column`) that is taken for right; None where half
            of the votes are for failures, for then it may not be an input of the question, and where votes
            are tied.
        confidence: Share of the votes behind it, in [0, 1].
        votes: By name of what programs do.
    """

    input: str
    right: str | None
    confidence: float
    votes: Mapping[str, float] = field(default_factory=dict, hash=False)

    def believed(self, confidence: float = CONFIDENT) -> bool:
        """Whether more than a share of the votes is for one output."""
        return self.right is not None and _exceeds(self.confidence, confidence)

    @property
    def output(self) -> str | None:
        """The output that counts as right."""
        return None if self.right is None else self.right[1:]

    @property
    def answered(self) -> bool:
        """Whether most of the votes are for outputs: elsewhere nobody is right."""
        outputs = sum(count for name, count in self.votes.items() if not is_failure(name))
        return outputs > 0 and _exceeds(outputs / sum(self.votes.values()), CONFIDENT)


def rulings(
    problem: Problem,
    found: Attack,
    *,
    power: float = 1.0,
    ask: Ask | None = None,
    trust: float = 1.0,
    places: Sequence[int] | None = None,
) -> list[Ruling]:
    """Returns a ruling for each confirmed input of an attack, in order.

    Args:
        problem: The question.
        found: The attack.
        power: A class of weight w has w^power votes: 1 is a vote a sample, 0 a vote a class.
        ask: Asked for outputs; None asks nobody.
        trust: Votes of all that was told of an input, as a share of those of the programs.
        places: Of the inputs that are ruled on; None takes those that part programs.
    """
    places = found.parting if places is None else places
    classes = found.partition
    # One voter a class: its members do the same on all confirmed inputs.
    voters = [members[0] for members in classes.classes]
    votes = {voter: weight**power for voter, weight in zip(voters, classes.weights, strict=True)}
    inputs = [found.inputs[place] for place in places]
    told = ask(problem, inputs) if ask and inputs else [[] for _ in inputs]
    properties, same = properties_of(problem), same_of(problem)
    ruled = []
    for place, given, outputs in zip(places, inputs, told, strict=True):
        names = found.columns[place]
        counted: dict[str, float] = {}
        for program, vote in votes.items():
            if names[program] == NOT_RUN:
                continue
            counted[names[program]] = counted.get(names[program], 0.0) + vote
        for output in outputs:
            # as the programs' outputs were merged into classes, not by text: 0.3 is 0.30000000000000004
            named = (name for name in counted if is_output(name) and same(name[1:], output))
            if name := next(named, None):
                # All answers together weigh `trust` of the programs' votes, however many samples there are.
                counted[name] += trust * sum(votes.values()) / len(outputs)
        for name in counted:
            if is_output(name):
                # Multiplied per property, so that two lacking properties outweigh even a large class.
                counted[name] *= LACKING ** len(lacking(properties, given, name[1:]))
        ruled.append(ruling(given, counted))
    return ruled


def ruling(given: str, votes: Mapping[str, float]) -> Ruling:
    """Returns the ruling of votes; a tie is none."""
    undecided = Ruling(given, None, 0.0, votes)
    if not undecided.answered:
        return undecided
    outputs = {name: count for name, count in votes.items() if not is_failure(name)}
    most = max(outputs.values())
    leaders = [name for name, count in outputs.items() if count == most]
    # Who returns what has no literal may be right, and yet nobody can say what that is.
    if not is_output(leaders[0]):
        return undecided
    # Failures stay in the denominator: they are votes for "no valid input".
    return undecided if len(leaders) > 1 else Ruling(given, leaders[0], most / sum(votes.values()), votes)


def ask_model(engine: Engine, *, samples: int = 4, seed: int = 0) -> Ask:
    """Returns a function that asks a language model for the output of one input.

    Args:
        engine: Where text comes from.
        samples: Answers per input, ≥ 1.
        seed: Fixes the draw.
    """

    def ask(problem: Problem, inputs: Sequence[str]) -> list[list[str]]:
        shown = [Prompt((("user", output_question(problem, given)),), "", "") for given in inputs]
        end = _line_end if problem.entry_point is not None else _never
        seeds = [derive_stream(seed, "oracle", problem.task_id, given) for given in inputs]
        requests = [
            Generate(one, engine.encode(one), samples, ANSWER, own, end)
            for one, own in zip(shown, seeds, strict=True)
        ]
        told = [
            [read_output(one.text, problem, cut=one.finish == "length") for one in drafts]
            for drafts in engine.generate(requests)
        ]
        return [[one for one in outputs if one is not None] for outputs in told]

    return ask


def read_output(text: str, problem: Problem, *, cut: bool = False) -> str | None:
    """Returns the output that an answer names, None if it names none.

    Of a function it is the canonical literal on the first line, of a program all that is printed.

    Args:
        text: The answer.
        problem: The question.
        cut: Whether the answer stopped at its limit of tokens: of ``12`` nobody knows how it goes on, so
            only a line that was ended counts.
    """
    if problem.entry_point is None:
        return None if cut else text.strip().strip("`").strip() or None
    body = text.lstrip()
    if cut and "\n" not in body:
        return None
    line = body.partition("\n")[0].strip().strip("`")
    line = line.rpartition("==")[2].strip()
    try:
        return write_literal(read_literal(line)) if parse_expression(line) else None
    except ValueError:
        return None


def output_question(problem: Problem, given: str) -> str:
    """Returns the question for the output of one input; `read_output` reads the answer."""
    asked = f"### Problem\n{prompts.question(problem)}\n### Question\nWhat does a right"
    if problem.entry_point is None:
        return f"{asked} program print for the input below? Answer with its output alone.\n{given}"
    call = f"{problem.entry_point}({given[1:-1]})"
    return f"{asked} solution return for {call}? Answer with the Python literal alone, on one line."


def _exceeds(share: float, bound: float) -> bool:
    """Whether a share of votes is above a bound, or all where that is asked for (as in `majority`)."""
    # Votes are sums of floats: half of them may come out a little above a half.
    return share > bound + 1e-9 or share >= bound >= 1


def _never(text: str) -> None:
    """Returns no boundary: an answer of several lines ends where the model ends it."""


def _line_end(text: str) -> int | None:
    body = text.lstrip()
    end = body.find("\n")
    return None if end < 0 else len(text) - len(body) + end
