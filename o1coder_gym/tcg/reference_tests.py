"""Tests of a whole problem set, made once with its references (mode A) and kept in the cache folder.

That is how the paper rewards training: γ_TCG is shown the ground-truth code C (Algorithm 1, step 5). What is
kept and returned are inputs and outputs; the references stay here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json

from o1coder_gym.models.lookup import cache_folder
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.store import TestStore
from o1coder_gym.types import Tests

TESTS_PER_PROBLEM = 16
"""Tests asked for per problem."""


def reference_tests(
    problems: str, *, split: str | None = None, generator: str = "mutation", n: int = TESTS_PER_PROBLEM
) -> dict[str, Tests]:
    """Returns generated tests by task id, as `ReasoningModel` takes them; a problem without any has none.

    Args:
        problems: Name or path of the problem set.
        split: Keeps one split.
        generator: What makes them, see `tcg.loading`.
        n: Tests per problem at most, ≥ 1.

    Raises:
        UnknownNameError: When there is no such set or generator.
        ProblemFileError: When the set, or the file of tests in the cache, cannot be read.
    """
    rows = load_rows(problems, split=split)
    name = hashlib.sha256(json.dumps([str(problems), generator]).encode()).hexdigest()[:16]
    path = cache_folder() / "tests" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several environments of a user may begin at the same time
        store = TestStore(path, load_generator(generator, default_judge()), generator)
        return dict(store.tests([TestRequest(row.problem, n, row.reference) for row in rows]))
