"""The generator without a model: mutates known inputs, and runs programs for their outputs.

Mode A runs the reference, mode B asks what sampled solutions agree on. A reference that is not
deterministic, or answers differently when inputs come in another order, yields no tests.

Which of many valid inputs become tests: pure functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.tcg.checking.agreement import Agreed, Agreement, Calibration, consensus, uncalibrated
from o1coder_gym.tcg.checking.execution import Observation, OutputJudge, Program, observe_twice
from o1coder_gym.tcg.checking.question_comparison import (
    as_compared,
    comparison_of,
    expected_test,
    means_none,
    same_of,
)
from o1coder_gym.tcg.checking.validity import stable_outputs
from o1coder_gym.tcg.inputs.proposals import Proposer, propose_inputs, propose_wider_inputs
from o1coder_gym.tcg.inputs.stdin import propose_stdin
from o1coder_gym.tcg.requests import BatchGenerator, SolutionSource, TestRequest
from o1coder_gym.types import GeneratedTests, Outcome, Submission, TestCase

_ROOM = 0.5
"""Share of a test's CPU limit within which the reference must pass it, to leave other programs some room."""

_FURTHER = 8
"""How many times more inputs are proposed where all outputs are equal: what is always False tests nothing."""

_NONE = "None"
"""The output of a function that falls off its end."""


class MutationGenerator(BatchGenerator):
    """γ_TCG by type-aware mutation; the embedded default.

    Outputs are those of programs, so in mode A every test passes on the reference.
    """

    def __init__(
        self,
        judge: OutputJudge,
        *,
        pool: int = 100,
        solutions: SolutionSource | None = None,
        agreement: Agreement = consensus,
        calibration: Calibration = uncalibrated,
    ) -> None:
        """Prepares the generator.

        Args:
            judge: Runs references and solutions.
            pool: Inputs proposed per problem, from which tests are chosen, ≥ 1; eight times as many where
                the first ones all have one output.
            solutions: Voters for problems without a reference; without them those get no tests.
            agreement: How votes are counted.
            calibration: From the share of voters behind a test to the chance that it is right.
        """
        self._calibration = calibration
        self._judge = judge
        self._pool = pool
        self._solutions = solutions
        self._agreement = agreement

    def generate_batch(self, requests: Sequence[TestRequest], /) -> list[GeneratedTests]:
        """Makes tests for many problems with a few judge batches in all.

        Returns:
            For each request its tests. The report counts: ``asked``, inputs ``proposed``, ``failed`` (the
            program ended badly), ``unstable`` (it answered differently a second time), ``outside`` (it fell
            off its end; see `means_none`), ``disagreed`` (the solutions did not agree), ``unconfirmed`` (a
            test failed in the last run on the reference).
        """
        chosen = self._chosen(requests, self._pool, propose_inputs)
        self._search_further(chosen, _alike(chosen), propose_inputs)
        # what a program reads from standard input has no inferred shape that could be let go
        functions = [index for index in _alike(chosen) if requests[index].problem.entry_point is not None]
        # Wider inputs are the last resort: they leave what the question shows, and may be invalid.
        self._search_further(chosen, functions, propose_wider_inputs)
        return self._confirmed(chosen)

    def _search_further(self, chosen: list[_Chosen], indices: Sequence[int], proposer: Proposer) -> None:
        """Replaces choices by those from more inputs, where these have several outputs."""
        requests = [chosen[index].request for index in indices]
        searched = self._chosen(requests, _FURTHER * self._pool, proposer)
        for index, found in zip(indices, searched, strict=True):
            chosen[index] = found if found.outputs > 1 else chosen[index]

    def _chosen(self, requests: Sequence[TestRequest], size: int, proposer: Proposer) -> list[_Chosen]:
        """Proposes `size` inputs per request, runs them, and chooses some."""
        drafts = [
            _Draft(request, _proposed(request, size, proposer), self._voters(request)) for request in requests
        ]
        references = iter(
            observe_twice(self._judge, [program for one in drafts for program in one.reference])
        )
        votes = iter(observe_twice(self._judge, [vote for one in drafts for vote in one.votes]))
        chosen = []
        for draft in drafts:
            if draft.request.reference is not None:
                chosen.append(draft.by_reference(next(references)))
            else:
                chosen.append(draft.by_agreement([next(votes) for _ in draft.voters], self._agreement))
        return chosen

    def _voters(self, request: TestRequest) -> tuple[str, ...]:
        if request.reference is not None or self._solutions is None:
            return ()
        return tuple(self._solutions(request.problem))

    def _confirmed(self, chosen: Sequence[_Chosen]) -> list[GeneratedTests]:
        """Runs the tests of mode A on their reference once more; drops what fails."""
        with_reference = [one for one in chosen if one.request.reference is not None]
        verdicts = iter(self._judge.evaluate([_submission(one) for one in with_reference]))
        generated = []
        for one in chosen:
            tests = tuple(one.tests)
            if one.request.reference is not None:
                results = zip(tests, next(verdicts).tests, strict=True)
                tests = tuple(test for test, result in results if result.outcome is Outcome.PASS)
            report = one.report | {"unconfirmed": len(one.tests) - len(tests)}
            weights = tuple(map(self._calibration, map(one.tests.__getitem__, tests)))
            generated.append(GeneratedTests(tests, report=report, weights=weights))
        return generated


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Tests before their confirmation.

    Attributes:
        request: What was asked.
        tests: At most as many as were asked for, each with the share of the voters behind its output.
        outputs: Different outputs of the inputs they were chosen from.
        report: Counts; see `MutationGenerator.generate_batch`.
    """

    request: TestRequest
    tests: Mapping[TestCase, float]
    outputs: int
    report: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A request with the inputs proposed for it, and the programs that vote in mode B.

    Attributes:
        request: What was asked.
        groups: Inputs by what types they take the arguments to have; the first guess is the best one.
        voters: Programs.
    """

    request: TestRequest
    groups: tuple[tuple[str, ...], ...]
    voters: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of all groups."""
        return tuple(given for group in self.groups for given in group)

    @property
    def reference(self) -> list[Program]:
        """The reference on all inputs; nothing in mode B."""
        code = self.request.reference
        return self._programs([] if code is None else [code])

    @property
    def votes(self) -> list[Program]:
        """The voters on all inputs."""
        return self._programs(self.voters)

    def _programs(self, codes: Sequence[str]) -> list[Program]:
        """Returns programs on all inputs, with only the part of their results that the question asks for."""
        problem, asked = as_compared(self.request.problem, codes)
        return [Program(problem, code, self.inputs) for code in asked]

    def by_reference(self, observed: Sequence[Observation | None]) -> _Chosen:
        """Returns tests with the outputs of the reference; none if it is not deterministic."""
        outputs = [None if one is None else one.output for one in observed]
        # One unstable input makes the reference unfit for all: its other outputs may be luck.
        unstable = observed.count(None)
        outside = self._outside(outputs)
        counts = {"failed": outputs.count(None) - unstable, "unstable": unstable, "outside": len(outside)}
        kept = [
            None if output is None or unstable or index in outside else Agreed(output, 1.0)
            for index, output in enumerate(outputs)
        ]
        return self._choose(kept, counts)

    def _outside(self, outputs: Sequence[str | None]) -> set[int]:
        """Returns the inputs on which the reference ended without a return statement.

        None where that is all that tells outputs apart: then it is how the reference says no.
        """
        problem, reference = self.request.problem, self.request.reference or ""
        fell = {index for index, output in enumerate(outputs) if output == _NONE}
        if not fell or problem.entry_point is None or len({*outputs} - {_NONE, None}) < 2:
            return set()
        return set() if means_none(problem, reference) else fell

    def by_agreement(self, observed: Sequence[Sequence[Observation | None]], agreement: Agreement) -> _Chosen:
        """Returns tests with the outputs that the voters agree on."""
        agreed = agreement(stable_outputs(observed), same=same_of(self.request.problem))
        agreed = agreed or [None] * len(self.inputs)
        return self._choose(agreed, {"disagreed": agreed.count(None)})

    def _choose(self, agreed: Sequence[Agreed | None], counts: dict[str, int]) -> _Chosen:
        problem, comparison = self.request.problem, comparison_of(self.request.problem)
        known = self._accepted_group(agreed)
        outputs = [one.output for _, one in known]
        supports = {
            expected_test(problem, comparison, known[index][0], outputs[index]): known[index][1].support
            for index in spread(outputs, self.request.n)
        }
        report = {"asked": self.request.n, "proposed": len(agreed), **counts}
        return _Chosen(self.request, supports, len({*outputs}), report)

    def _accepted_group(self, agreed: Sequence[Agreed | None]) -> list[tuple[str, Agreed]]:
        """Returns (input, output) pairs of the first group that mostly works, else of the best one."""
        pairs = iter(zip(self.inputs, agreed, strict=True))
        found: list[list[tuple[str, Agreed]]] = []
        for group in self.groups:
            found.append([(given, one) for given, one in islice(pairs, len(group)) if one is not None])
            # Mostly accepted: this guess of types is right. Groups come best guess first.
            if 2 * len(found[-1]) > len(group):
                return found[-1]
        return max(found, key=len, default=[])


def _alike(chosen: Sequence[_Chosen]) -> list[int]:
    """Returns the indices at which all outputs are equal."""
    return [index for index, one in enumerate(chosen) if one.outputs == 1]


def _proposed(request: TestRequest, size: int, proposer: Proposer) -> tuple[tuple[str, ...], ...]:
    if request.problem.entry_point is None:
        return (tuple(propose_stdin(request.problem, size, request.seed)),)
    return proposer(request.problem, request.reference, size, request.seed)


def _submission(chosen: _Chosen) -> Submission:
    # A tighter limit than candidates get: a test that the reference barely passes would fail right programs.
    whole = submission(chosen.request.problem, chosen.request.reference or "", tuple(chosen.tests))
    return replace(whole, limits=replace(whole.limits, cpu_s=_ROOM * whole.limits.cpu_s))


def spread(outputs: Sequence[str], n: int) -> list[int]:
    """Chooses inputs whose outputs differ as much as possible.

    One input of every distinct output comes first, then a second one of each, and so on; among inputs
    with one output the earlier ones are preferred.

    Args:
        outputs: The reference's output on each input.
        n: How many inputs to choose at most.

    Returns:
        Indices of the chosen inputs, ascending.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, output in enumerate(outputs):
        groups[output].append(index)
    # Round-robin over distinct outputs: n tests with one output would accept a constant function.
    rounds = chain.from_iterable(zip_longest(*groups.values()))
    return sorted([index for index in rounds if index is not None][:n])
