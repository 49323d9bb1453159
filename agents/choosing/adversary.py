"""The second player of a search: it looks for inputs on which programs that pass all known tests differ.

    for each turn of the first player:
        answer it
        where its passing programs have become more: attack them
    the answer is the program that stands highest on the inputs found

Both players pay out of one budget: each process that runs a program on inputs is an execution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

from o1coder_gym.agents.choosing.selectors import Program, choose_program, judged_programs
from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.queries import MOST_INPUTS, Agent, Execute, Part, Search, execute
from o1coder_gym.runs.context import ALONE, SearchContext, begin
from o1coder_gym.tcg.adversary.attack import Attack, attack
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, is_failure
from o1coder_gym.tcg.adversary.choosing import by_class, by_rulings
from o1coder_gym.tcg.adversary.inputs import Attacker, by_mutation
from o1coder_gym.tcg.adversary.oracle import Ruling, rulings
from o1coder_gym.tcg.checking.execution import Observation
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.checking.selection import Score
from o1coder_gym.types import Outcome, Parting, Problem, SearchResult, State

ATTACKERS: Mapping[str, Attacker] = MappingProxyType({"mutation": by_mutation})
"""By the name that ``adversary=`` of a spec may say."""

_FEW, _GROWTH = 8, 1.25
"""Up to `_FEW` distinct passing programs each new one starts an attack; beyond, a growth by the factor
`_GROWTH` since the last attack does."""
_RUNS = 128
"""Inputs per program that one attack may try, confirmations included."""
_PATIENCE = 64


@dataclass(slots=True)
class _Duel:
    """State of the second player in one search. Mutable."""

    problem: Problem
    attacker: Attacker
    recording: Recording = field(default_factory=Recording)
    attacked: list[Program] = field(default_factory=list)
    found: Attack | None = None
    ruled: list[Ruling] = field(default_factory=list)

    def passing(self) -> list[Program]:
        """Returns the distinct programs that pass all known tests, each with all its samples."""
        by_code: dict[str | None, Program] = {}
        samples: dict[str | None, int] = {}
        for program in judged_programs(self.recording):
            if program.verdict.outcome in (Outcome.PASS, Outcome.NO_TESTS):
                code = program.state.code
                by_code.setdefault(code, program)
                samples[code] = samples.get(code, 0) + program.samples
        return [replace(program, samples=samples[code]) for code, program in by_code.items()]

    def strike(self, *, last: bool = False) -> Part[None]:
        """Attacks the passing programs if enough new ones were found since the last attack."""
        programs = self.passing()
        few = last or len(programs) <= _FEW
        more = len(programs) > (1 if few else _GROWTH) * len(self.attacked)
        if len(programs) < 2 or not more:
            return
        sources = [program.state.code or "" for program in programs]
        running = attack(
            [float(program.samples) for program in programs],
            _bounded(self.attacker(self.problem, sources, 0)),
            same=same_of(self.problem),
            executions=_RUNS * len(programs),
            patience=_PATIENCE,
        )
        try:
            wanted = next(running)
            while True:
                asked = [Execute(programs[one.program].state, one.inputs) for one in wanted]
                answers = yield from execute(asked)
                if not all(answer.results for answer in answers):
                    return  # a part that could not be paid says nothing of the whole
                seen = [[Observation(r.got, r.outcome, r.error) for r in a.results] for a in answers]
                wanted = running.send(seen)
        except StopIteration as end:
            self.attacked, self.found = programs, end.value
            self.ruled = rulings(self.problem, end.value)

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


def against(agent: Agent, attacker: Attacker, *scores: Score) -> Agent:
    """Returns the agent with an adversary that decides among programs passing all known tests.

    Args:
        agent: The first player.
        attacker: Proposes inputs.
        scores: Selectors, as in `choosing`; they come before the adversary.
    """

    def search(problem: Problem, root: State, /, *, context: SearchContext = ALONE) -> Search:
        duel = _Duel(problem, attacker)
        found = SearchResult(None)
        with suppress(BudgetExhausted):
            found = yield from _fought(begin(agent, problem, root, context), duel)
        programs = judged_programs(duel.recording)
        first = [program for program in programs if program.verdict.outcome is Outcome.PASS]
        pool = programs if scores else first or programs
        chosen = choose_program(pool, len(problem.public_tests), scores, duel.opinions())
        if chosen is None:
            return found
        return SearchResult(chosen.state, chosen.value or 0.0, found.tree, duel.partings())

    return search


def _fought(search: Search, duel: _Duel) -> Search:
    """Runs the first player unchanged and lets the second one attack between its turns."""
    exhausted = False
    try:
        queries = next(search)
        while True:
            try:
                answers = yield queries
                for query, answer in zip(queries, answers, strict=True):
                    duel.recording.add(query, answer)
                yield from duel.strike()
            except BudgetExhausted as error:
                exhausted = True
                # The first player may still answer; its answer is kept where the second one cannot choose.
                queries = search.throw(error)
                continue
            queries = search.send(answers)
    except StopIteration as end:
        if not exhausted:  # whoever asks on then is no agent
            with suppress(BudgetExhausted):
                yield from duel.strike(last=True)
        return end.value
    finally:
        search.close()


def _bounded(batches: Iterator[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yields batches that fit one query; half its limit, because confirmations run each input twice."""
    for batch in batches:
        rest = iter(batch)
        while part := tuple(islice(rest, MOST_INPUTS // 2)):
            yield part


def _parting(found: Attack, place: int, ruling: Ruling, programs: Sequence[Program]) -> Parting:
    did: dict[str, list[State]] = {}
    for number, name in enumerate(found.columns[place]):
        if number not in found.noisy and name != NOT_RUN:
            did.setdefault(_said(name), []).append(programs[number].state)
    outputs = tuple((output, tuple(states)) for output, states in did.items())
    return Parting(ruling.input, outputs, ruling.output, ruling.confidence)


def _said(name: str) -> str:
    return f"({name})" if is_failure(name) else name[1:]
