"""From the string that names a test generator to the generator.

==================  ====================================================  ============================
string              generator                                             example
==================  ====================================================  ============================
``mutation``        no model; options after ``?``                         ``mutation?pool=200``
a policy string     a language model, see `policies.load_policy`          ``hf:runs/dpo/model``
==================  ====================================================  ============================

Further ones come from the entry-point group ``o1coder_gym.generators``: its name is what stands before the
first ``:`` or ``?``, its object a function ``(string, judge, solutions) -> TestGenerator``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.policies import LanguageModelPolicy, load_policy
from o1coder_gym.policies.loading import read_settings
from o1coder_gym.protocols import TestGenerator
from o1coder_gym.tcg.execution import OutputJudge
from o1coder_gym.tcg.generator import LanguageModelGenerator
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.requests import SolutionSource

ENTRY_POINT_GROUP = "o1coder_gym.generators"


@dataclass(frozen=True, slots=True)
class MutationSettings:
    """Options of ``mutation``.

    Attributes:
        pool: Inputs proposed per problem, from which tests are chosen.
    """

    pool: int = 100

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise UsageError(f"pool is at least 1, not {self.pool}")


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
        UnknownNameError: When nothing is registered under that name.
        UsageError: When an option makes no sense, or the policy is no language model.
        MissingExtraError: When the backend is not installed.
    """
    name, _, options = spec.partition("?")
    if name == "mutation":
        pool = read_settings(MutationSettings, options).pool
        return MutationGenerator(judge, pool=pool, solutions=solutions)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name.partition(":")[0]:
            return point.load()(spec, judge, solutions)
    if ":" not in spec:
        raise UnknownNameError("test generator", spec, ["mutation", "hf:", "openai:", "vllm:"])
    policy = load_policy(spec)
    if not isinstance(policy, LanguageModelPolicy):
        raise UsageError(f"{spec} is no language model, so it writes no tests")
    return LanguageModelGenerator(policy.engine, judge=None if as_written else judge, solutions=solutions)
