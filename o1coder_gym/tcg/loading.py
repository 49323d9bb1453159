"""Makes a test generator from the string that names it.

==================  ====================================================  ============================
string              generator                                             example
==================  ====================================================  ============================
``mutation``        no model; options after ``?``                         ``mutation?pool=200``
a policy string     a language model, see `policies.load_policy`          ``hf:runs/dpo/model``
==================  ====================================================  ============================

Packages add generators as plug-ins, see `registry`; those of the group ``o1coder_gym.generators`` are
functions ``(string, judge, solutions) -> TestGenerator`` that read the string themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.policies import LanguageModelPolicy, load_policy
from o1coder_gym.runs.executors import cut, load_executor
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import name_of, parse, registry
from o1coder_gym.specs.own_code import is_place
from o1coder_gym.specs.parameters import AtLeastOne
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.language_model import LanguageModelGenerator
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality.agreement import packaged_calibration
from o1coder_gym.tcg.requests import BatchGenerator, SolutionSource, TestRequest, generate_all
from o1coder_gym.types import GeneratedTests
from o1coder_gym.types.protocols import TestGenerator

ENTRY_POINT_GROUP = registry.KINDS["generator"].group


def load_generator(
    spec: str,
    judge: OutputJudge,
    *,
    solutions: SolutionSource | None = None,
    as_written: bool = False,
) -> TestGenerator:
    """Returns the generator that `spec` names.

    Args:
        spec: See the table above.
        judge: Runs references and solutions.
        solutions: Voters for problems without a reference.
        as_written: Leaves the tests of language models as they were written, neither checked nor repaired.

    Raises:
        UnknownNameError: When nothing is registered under that name, or an option is unknown.
        UsageError: When an option makes no sense, or the policy is not a language model.
        MissingExtraError: When the backend is not installed.
        PluginError: When the package that it comes from does not work.
    """
    name, policies = name_of(spec), registry.entries("policy")
    # A policy spec is a generator too: its language model writes the tests.
    if name in policies and name not in registry.entries("generator"):
        return _language_model(spec, judge, solutions, as_written)
    if name not in registry.entries("generator") and not is_place(spec):
        raise UnknownNameError(
            "test generator", spec, [*registry.entries("generator"), *(f"{one}:" for one in policies)]
        )
    if not is_place(spec) and (entry := registry.find("generator", name)).earlier:
        return entry.object()(spec, judge, solutions)
    generator = registry.make("generator", parse(spec), spec, judge=judge, solutions=solutions)
    if not isinstance(generator, TestGenerator):
        raise UsageError(
            f"generator {spec!r} made a {type(generator).__name__}, which has no generate method"
        )
    return generator


class SpreadGenerator(BatchGenerator):
    """A generator that answers requests in the processes of an executor, each with a generator of its own."""

    def __init__(self, spec: str, executor: str) -> None:
        """Args: spec of the generator, spec of the executor."""
        self._work = partial(_generated, spec)
        self._executor = executor

    def generate_batch(self, requests: Sequence[TestRequest], /) -> list[GeneratedTests]:
        """Answers all requests, in order."""
        run, workers = load_executor(self._executor)
        return [made for piece in run(self._work, cut(requests, workers)) for made in piece]


def _generated(spec: str, requests: Sequence[TestRequest]) -> list[GeneratedTests]:
    return generate_all(load_generator(spec, default_judge()), requests)


def mutation(
    judge: OutputJudge, solutions: SolutionSource | None = None, *, pool: AtLeastOne = 100
) -> TestGenerator:
    """Mutates known inputs and runs the reference on them; needs no model.

    Args:
        judge: Runs references and solutions.
        solutions: Voters for problems without a reference.
        pool: Inputs proposed per problem, from which tests are chosen.
    """
    return MutationGenerator(judge, pool=pool, solutions=solutions, calibration=packaged_calibration())


def _language_model(
    spec: str, judge: OutputJudge, solutions: SolutionSource | None, as_written: bool
) -> TestGenerator:
    policy = load_policy(spec)
    if not isinstance(policy, LanguageModelPolicy):
        raise UsageError(f"{spec} is not a language model, so it cannot write tests")
    return LanguageModelGenerator(
        policy.engine,
        judge=None if as_written else judge,
        solutions=solutions,
        calibration=packaged_calibration(),
    )
