"""Programs that attempt problems: read from a file, or sampled from a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.answers.solutions import read_solutions
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.tcg.requests import SolutionSource
from o1coder_gym.types import PolicyRequest, Problem, Sampling, State
from o1coder_gym.types.protocols import Policy

SAMPLING = Sampling(temperature=0.8, top_p=0.95, top_k=50, max_tokens=512)


def read_programs(path: Path) -> dict[str, list[str]]:
    """Reads whole programs from a file of solutions.

    Returns:
        The programs of each problem, in order of the file.

    Raises:
        ProblemFileError: When the file cannot be read, or a row holds no whole program; names the line.
    """
    programs: dict[str, list[str]] = {}
    for solution in read_solutions(path):
        if solution.kind != "program":
            raise ProblemFileError(f"{path}: {solution.task_id}: got a {solution.kind}, expected a program")
        programs.setdefault(solution.task_id, []).append(solution.text)
    return programs


def sample_programs(
    policy: Policy, problems: Sequence[Problem], n: int, *, sampling: Sampling = SAMPLING, seed: int = 0
) -> dict[str, list[str]]:
    """Samples `n` programs for each problem, in one batch, from a policy that writes the vanilla format.

    What is not a program counts as the text that it is, so that nothing is hidden by sampling. Each problem
    has draws of its own: with the same ones their luck would be shared, and an interval over them too narrow.
    None is a draw of the searches of a run with this seed: a program would vote on its own tests.

    Raises:
        PolicyError: When the policy fails.
    """
    requests = [
        PolicyRequest(
            problem,
            State(problem.task_id),
            n,
            sampling,
            derive_stream(seed, "programs", problem.task_id),
        )
        for problem in problems
    ]
    return {
        problem.task_id: [VANILLA.parse(proposal.text, problem.entry_point).text for proposal in proposals]
        for problem, proposals in zip(problems, policy.propose(requests), strict=True)
    }


def source_of(programs: Mapping[str, Sequence[str]]) -> SolutionSource:
    """Returns the programs of a mapping as voters."""
    return lambda problem: programs.get(problem.task_id, ())
