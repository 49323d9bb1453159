"""The second player of a search: it looks for inputs on which programs that pass all known tests differ.

    for each turn of the first player:
        answer it
        where its passing programs have become more: strike
    the answer is the program that stands highest on the inputs found

    strike: ask the policy's model for inputs                         # Ask
            run the programs on these and on mutations, until they part or nothing parts them    # Execute
            ask the policy's model for the output where they part     # Ask
            rule which output is right

Both players pay out of one budget: each process that runs a program on inputs is an execution, and what the
model answers costs tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from types import MappingProxyType

from o1coder_gym.agents.choosing.selectors import Program, choose_program, judged_programs, watched
from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.search.leaf_values import Aggregate, scores_of_states
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.context import ALONE, SearchContext, begin
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.tcg import template
from o1coder_gym.tcg.adversary.attack import Attack, attack
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, shown
from o1coder_gym.tcg.adversary.choosing import by_class, by_rulings
from o1coder_gym.tcg.adversary.inputs import Attacker, by_mutation, written_inputs
from o1coder_gym.tcg.adversary.oracle import ANSWER, Ruling, output_question, read_output, rulings
from o1coder_gym.tcg.checking.execution import Observation
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.checking.selection import Score
from o1coder_gym.tcg.language_model import SAMPLING
from o1coder_gym.types import Outcome, Parting, Problem, SearchResult, State
from o1coder_gym.types.queries import MOST_INPUTS, Agent, Ask, Execute, Part, Search, ask, execute


@dataclass(frozen=True, slots=True)
class Adversary:
    """How the second player plays.

    Attributes:
        attacker: Proposes inputs; None leaves that to the policy's model.
        asks: Whether the policy's language model is asked, for inputs and for the outputs of those that part
            programs.
    """

    attacker: Attacker | None
    asks: bool = False


ADVERSARIES: Mapping[str, Adversary] = MappingProxyType(
    {
        "mutation": Adversary(by_mutation),
        "policy": Adversary(None, asks=True),
        "both": Adversary(by_mutation, asks=True),
    }
)
"""By the name that ``adversary=`` of a spec may say."""

_FEW, _GROWTH = 8, 1.25
"""Up to `_FEW` distinct passing programs each new one starts an attack; beyond, a growth by the factor
`_GROWTH` since the last attack does."""
_RUNS = 160
"""Inputs per program that one attack may try, confirmations included."""
_PATIENCE = 64
_DRAFTS, _ANSWERS = 4, 4
"""Answers of the model: with inputs, and with the output of one input."""
_ASKED = 8
"""Inputs whose outputs are asked for, in one attack."""
_TRUST = 0.5
"""What the model's answers count, as a share of all votes of the programs."""
_LEAST = 1e-6
"""What a sample weighs at least that the step scorer thinks nothing of."""


@dataclass(slots=True)
class _Duel:
    """State of the second player in one search. Mutable."""

    problem: Problem
    adversary: Adversary
    aggregate: Aggregate | None
    seed: int
    recording: Recording = field(default_factory=Recording)
    attacked: list[Program] = field(default_factory=list)
    found: Attack | None = None
    ruled: list[Ruling] = field(default_factory=list)
    written: tuple[str, ...] | None = None
    scores: dict[State, float] = field(default_factory=dict)

    def passing(self) -> list[Program]:
        """Returns the distinct programs that pass all known tests, each with all its samples."""
        by_code: dict[str | None, Program] = {}
        samples: dict[str | None, int] = {}
        for program in judged_programs(self.recording):
            # Programs that fail a known test are out of the game: the attack is to separate those that no
            # test separates.
            if program.verdict.outcome in (Outcome.PASS, Outcome.NO_TESTS):
                code = program.state.code
                by_code.setdefault(code, program)
                samples[code] = samples.get(code, 0) + program.samples
        return [replace(program, samples=samples[code]) for code, program in by_code.items()]

    def strike(self, *, last: bool = False) -> Part[None]:
        """Attacks the passing programs if enough new ones were found since the last attack."""
        programs = self.passing()
        # An attack runs every program again: where there are many, one more is not worth another attack.
        few = last or len(programs) <= _FEW
        more = len(programs) > (1 if few else _GROWTH) * len(self.attacked)
        if len(programs) < 2 or not more:
            return
        weights = yield from self._weights(programs)
        written = yield from self._written()
        found = yield from self._parted(programs, weights, written)
        if found is None:
            return  # a part that could not be paid says nothing of the whole
        self.attacked, self.found = programs, found
        self.ruled = rulings(self.problem, found)
        # In this order: only inputs that part programs are worth the tokens of an opinion on their output.
        if self.adversary.asks and self.ruled:
            told = yield from self._told([one.input for one in self.ruled])
            # Ruled a second time: the model's votes join those of the programs, they do not replace them.
            self.ruled = rulings(self.problem, found, ask=lambda *_: told, trust=_TRUST)

    def _weights(self, programs: Sequence[Program]) -> Part[list[float]]:
        """Returns the samples behind each program; with a step scorer each counts as much as its score."""
        samples = [float(program.samples) for program in programs]
        if self.aggregate is None:
            return samples
        fresh = [program.state for program in programs if program.state not in self.scores]
        steps = yield from scores_of_states(fresh)  # each program once: scores cost tokens of the scorer
        self.scores.update(zip(fresh, map(self.aggregate, steps), strict=True))
        return [n * max(self.scores[one.state], _LEAST) for n, one in zip(samples, programs, strict=True)]

    def _written(self) -> Part[tuple[str, ...]]:
        """Returns the inputs that the policy's model writes, asked once in a search."""
        if self.written is None:
            self.written = ()
            if self.adversary.asks:
                question = Ask(template.instruction(self.problem, None), _DRAFTS, SAMPLING)
                (drafts,) = yield from ask([question])
                self.written = written_inputs(self.problem, [draft.text for draft in drafts])
        return self.written

    def _parted(
        self, programs: Sequence[Program], weights: Sequence[float], written: tuple[str, ...]
    ) -> Part[Attack | None]:
        """Attacks the programs; returns None where the budget ends on the way."""
        sources = [program.state.code or "" for program in programs]
        attacker = self.adversary.attacker
        proposed = attacker(self.problem, sources, self.seed) if attacker else ()
        running = attack(
            weights,
            _bounded(chain([written], proposed)),
            same=same_of(self.problem),
            executions=_RUNS * len(programs),
            patience=_PATIENCE,
        )
        try:
            # `attack` is a coroutine that knows no budget: it says what to run, and is sent what was seen.
            wanted = next(running)
            while True:
                asked = [Execute(programs[one.program].state, one.inputs, one.surroundings) for one in wanted]
                answers = yield from execute(asked)
                if not all(answer.results for answer in answers):
                    return None
                seen = [[Observation(r.got, r.outcome, r.error) for r in a.results] for a in answers]
                wanted = running.send(seen)
        except StopIteration as end:
            return end.value

    def _told(self, inputs: Sequence[str]) -> Part[list[list[str]]]:
        """Returns for each input the outputs that the policy's model predicts, each a vote."""
        # The first ones: each later input splits only what those before it left together.
        asked = inputs[:_ASKED]
        answers = yield from ask([Ask(output_question(self.problem, one), _ANSWERS, ANSWER) for one in asked])
        told = [
            [read_output(one.text, self.problem, cut=one.finish == "length") for one in drafts]
            for drafts in answers
        ]
        found = [[one for one in outputs if one is not None] for outputs in told]
        return [*found, *([] for _ in inputs[_ASKED:])]

    def opinions(self) -> dict[State, float]:
        """Returns the score of each attacked program: by rulings on the inputs found, then by class."""
        if self.found is None:
            return {}
        whole = sum(self.found.weights) + 1
        standing, classes = by_rulings(self.found, self.ruled), by_class(self.found)
        by_code = {
            # The weight of its class, scaled to 1e-3: it decides where rulings tie, or nearly so.
            one.state.code: high + 1e-3 * size / whole
            for one, high, size in zip(self.attacked, standing, classes, strict=True)
        }
        return {one.state: by_code.get(one.state.code, -1.0) for one in judged_programs(self.recording)}

    def partings(self) -> tuple[Parting, ...]:
        """Returns the inputs found, for viewers."""
        if self.found is None:
            return ()
        return tuple(
            _parting(self.found, place, one, self.attacked)
            for place, one in zip(self.found.parting, self.ruled, strict=True)
        )


def against(agent: Agent, adversary: Adversary, *scores: Score, aggregate: Aggregate | None = None) -> Agent:
    """Returns the agent with an adversary that decides among programs passing all known tests.

    Args:
        agent: The first player.
        adversary: The second one.
        scores: Selectors, as in `choosing`; they come before the adversary.
        aggregate: Has the step scorer weigh the votes: a sample counts as much as its score (weighted
            self-consistency). From the scores of a path's steps to one number; None asks no scorer.
    """

    def search(problem: Problem, root: State, /, *, context: SearchContext = ALONE) -> Search:
        duel = _Duel(problem, adversary, aggregate, derive_stream(context.seed, "adversary"))
        found = SearchResult(None)
        with suppress(BudgetExhausted):
            found = yield from _fought(begin(agent, problem, root, context), duel)
        programs = judged_programs(duel.recording)
        first = [program for program in programs if program.verdict.outcome is Outcome.PASS]
        pool = programs if scores else first or programs
        public, same = len(problem.public_tests), same_of(problem)
        chosen = choose_program(pool, public, scores, duel.opinions(), same=same)
        if chosen is None:
            return found
        return SearchResult(chosen.state, chosen.value or 0.0, found.tree, duel.partings())

    return search


def _fought(search: Search, duel: _Duel) -> Search:
    """Runs the first player unchanged; the second player attacks between its turns."""
    return (
        yield from watched(
            search, duel.recording, lambda _: duel.strike(), last=lambda _: duel.strike(last=True)
        )
    )


def _bounded(batches: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yields batches that fit one query; half its limit, because confirmations run each input twice."""
    for batch in batches:
        rest = iter(batch)
        while part := tuple(islice(rest, MOST_INPUTS // 2)):
            yield part


def _parting(found: Attack, place: int, ruling: Ruling, programs: Sequence[Program]) -> Parting:
    did: dict[str, list[State]] = {}
    for number, name in enumerate(found.columns[place]):
        if number not in found.noisy and name != NOT_RUN:
            did.setdefault(shown(name), []).append(programs[number].state)
    outputs = tuple((output, tuple(states)) for output, states in did.items())
    return Parting(ruling.input, outputs, ruling.output, ruling.confidence)
