"""The generator with a language model: the paper's γ_TCG, on any engine of `policies`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from o1coder_gym.policies import Completion, Engine, Generate
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.tcg import template
from o1coder_gym.tcg.checking.agreement import Agreement, Calibration, consensus, uncalibrated
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import (
    CheckedTest,
    Claim,
    Standing,
    check_by_agreement,
    check_by_reference,
)
from o1coder_gym.tcg.inputs.known import parameters
from o1coder_gym.tcg.reading.parsing import ParsedTests, parse_tests, without_contradictions
from o1coder_gym.tcg.requests import BatchGenerator, SolutionSource, TestRequest
from o1coder_gym.types import GeneratedTests, Sampling

SAMPLING = Sampling(temperature=0.8, top_p=0.95, top_k=50, max_tokens=320)


class LanguageModelGenerator(BatchGenerator):
    """γ_TCG as a language model: prompts by the paper's template and reads any reply.

    Without a judge the tests are what the model wrote. With one, mode A keeps those whose input the reference
    takes, wrong outputs repaired by it; mode B keeps those that solutions agree with.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        judge: OutputJudge | None = None,
        sampling: Sampling = SAMPLING,
        cases: int = template.CASES,
        solutions: SolutionSource | None = None,
        agreement: Agreement = consensus,
        calibration: Calibration = uncalibrated,
    ) -> None:
        """Prepares the generator.

        Args:
            engine: Where text comes from.
            judge: Confirms or repairs; None leaves the tests as they were written.
            sampling: How completions are drawn.
            cases: Test cases asked for in one completion; for more, more completions are drawn.
            solutions: Voters for problems without a reference; without them those stay unconfirmed.
            agreement: How votes are counted.
            calibration: From the share of voters behind a test to the chance that it is right.
        """
        self._calibration = calibration
        self._engine = engine
        self._judge = judge
        self._sampling = sampling
        self._cases = cases
        self._solutions = solutions
        self._agreement = agreement

    def generate_batch(self, requests: Sequence[TestRequest], /) -> list[GeneratedTests]:
        """Makes tests for many problems with one engine call and a few judge batches.

        Returns:
            For each request its tests. The report counts: ``asked``, cases ``written``, ``unreadable``,
            ``duplicate``, ``contradictory`` (another one has the same input and another output; neither is
            kept), ``parsed`` (at most as many as asked), generated ``tokens``; with a judge also
            ``confirmed``, ``repaired``, ``wrong`` and ``invalid``.

        Raises:
            PolicyError: When the engine fails, or a prompt does not fit its context.
        """
        answers = self._engine.generate([self._generate(request) for request in requests])
        drafts = [_read(request, texts) for request, texts in zip(requests, answers, strict=True)]
        if self._judge is None:
            return drafts
        claims = [self._claim(request, draft) for request, draft in zip(requests, drafts, strict=True)]
        return self._checked(self._judge, requests, drafts, claims)

    def _generate(self, request: TestRequest) -> Generate:
        shown = template.prompt(request.problem, request.reference, self._cases)
        # As in the paper few cases a sample; more tests are more samples, rounded up.
        samples = -(-request.n // self._cases)
        boundary = partial(template.end_of_cases, cases=self._cases)
        ids = self._engine.encode(shown)
        # By problem: shared draws would make the luck of all problems one.
        seed = derive_stream(request.seed, "tests", request.problem.task_id)
        return Generate(shown, ids, samples, self._sampling, seed, boundary)

    def _claim(self, request: TestRequest, draft: GeneratedTests) -> Claim:
        if request.reference is not None:
            return Claim(request.problem, draft.tests, (request.reference,))
        voters = self._solutions(request.problem) if self._solutions else ()
        return Claim(request.problem, draft.tests, tuple(voters))

    def _checked(
        self,
        judge: OutputJudge,
        requests: Sequence[TestRequest],
        drafts: Sequence[GeneratedTests],
        claims: Sequence[Claim],
    ) -> list[GeneratedTests]:
        """Decides each claim in its mode; without a program to run, the draft stays unchanged."""
        with_reference = [index for index, one in enumerate(requests) if one.reference is not None]
        with_voters = [
            index for index, one in enumerate(claims) if one.programs and requests[index].reference is None
        ]
        confirmed = check_by_reference(judge, [claims[index] for index in with_reference], repair=True)
        agreed = check_by_agreement(
            judge, [claims[index] for index in with_voters], self._agreement, repair=True
        )
        kept = list(drafts)
        for index, tests in zip((*with_reference, *with_voters), (*confirmed, *agreed), strict=True):
            kept[index] = _kept(drafts[index], tests, self._calibration)
        return kept


def _read(request: TestRequest, completions: Sequence[Completion]) -> GeneratedTests:
    """Returns the tests in the completions of one request, at most as many as were asked for."""
    names = _parameter_names(request)
    parsed = [parse_tests(one.text, request.problem.entry_point, names) for one in completions]
    written = tuple(dict.fromkeys(test for one in parsed for test in (*one.tests, *one.contradictory)))
    # Over all samples of the request: two of them may contradict each other.
    kept, contradictory = without_contradictions(written)
    tests = kept[: request.n]
    report = {"asked": request.n, **_counts(parsed, len(written)), "parsed": len(tests)}
    if contradictory:
        report["contradictory"] = len(contradictory)
    report["tokens"] = sum(one.tokens for one in completions)
    return GeneratedTests(tests, "\n".join(one.text for one in completions), report)


def _parameter_names(request: TestRequest) -> list[str]:
    name = request.problem.entry_point
    if name is None:
        return []
    sources = (request.reference or "", request.problem.prompt)
    found = next(filter(None, (parameters(source, name) for source in sources)), [])
    return [parameter.name for parameter in found]


def _counts(parsed: Sequence[ParsedTests], distinct: int) -> dict[str, int]:
    readable = sum(one.written - one.unreadable for one in parsed)
    return {
        "written": sum(one.written for one in parsed),
        "unreadable": sum(one.unreadable for one in parsed),
        "duplicate": readable - distinct,
    }


def _kept(draft: GeneratedTests, checked: Sequence[CheckedTest], calibration: Calibration) -> GeneratedTests:
    standings = [one.standing for one in checked]
    counts = {standing.value: standings.count(standing) for standing in Standing}
    supports = {one.test: one.support for one in checked if one.good}
    weights = tuple(map(calibration, supports.values()))
    return GeneratedTests(tuple(supports), draft.raw, {**draft.report, **counts}, weights)
