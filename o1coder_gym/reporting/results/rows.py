"""Result rows of a benchmark, and their reader."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import read_config, read_rows, require_folder
from o1coder_gym.runs.provenance import config_hash
from o1coder_gym.types import Outcome, Usage

RESULTS = "results"
"""Name of the file of result rows in a run folder."""

FAILURES = "failures"
"""Name of the file of rows without an answer: an engine, a judge or an agent failed. A resumed run tries them
again."""

PROFILE = "profile"
"""Name of the file that says where the time of each agent went."""

ORACLE = "oracle"
"""Name of the control that chooses with the hidden tests: the most that choosing could be worth."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is compared: its rows differ in problem and seed only.

    Attributes:
        problems: Name or path of the problem set.
        policy: Policy spec.
        format: Step format.
        agent: Agent spec, selector included.
        budget: Limits per problem.
    """

    problems: str
    policy: str
    format: str
    agent: str
    budget: Budget


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One agent on one problem with one seed, judged on hidden tests.

    Attributes:
        task_id: The problem.
        agent: The agent as it was named on the command line, parameters included.
        seed: Run seed.
        outcome: Of the chosen code on the hidden tests; None if the agent committed no code, or
            if the run of it failed for a reason given in `error`. `NO_TESTS` where there are none.
        passed: Hidden tests passed.
        total: Hidden tests.
        value: The agent's own estimate in [0, 1].
        code: The chosen program, None without one.
        steps: Reasoning steps of the chosen path, the code step included.
        usage: The cost of the search.
        error: Empty, or one line on why there is no answer, or none that was judged.
        problems: Name or path of the problem set.
        policy: Policy spec.
        format: Step format.
        budget: Limits per problem.
        parameters: Weights of the policy's model, None if not known.
        timed: Whether `usage.seconds` is what the agent took; not where the answer was read off a run with a
            larger budget, or samples were shared between agents.
        run: Digest of the run's configuration, which its folder has in full.
        version: Of this package.
        cut: Whether the budget cut a sample before its end; the agent did not get it.
        capped: Whether the agent ended by itself, at a cap of its own or after its only try, with some of the
            budget left.
    """

    task_id: str
    agent: str
    seed: int
    outcome: Outcome | None
    passed: int
    total: int
    value: float
    code: str | None
    steps: int
    usage: Usage
    error: str = ""
    problems: str = ""
    policy: str = ""
    format: str = ""
    budget: Budget = UNLIMITED
    parameters: int | None = None
    timed: bool = True
    run: str = ""
    version: str = ""
    cut: bool = False
    capped: bool = False

    @property
    def missing(self) -> str:
        """Returns the reason if there is no program."""
        if self.error:
            return "error"
        return "cut by the budget" if self.cut else "no program"

    def __post_init__(self) -> None:
        """Reads a pass of no tests, which the rows of earlier versions have, as `NO_TESTS`."""
        if self.outcome is Outcome.PASS and not self.total:
            object.__setattr__(self, "outcome", self.outcome.after(self.total))

    @property
    def solved(self) -> bool:
        """Whether there are hidden tests and every one passed."""
        return self.outcome is Outcome.PASS

    @property
    def counted(self) -> bool:
        """Whether the row counts for the agent: it does not if the judge could not decide.

        An agent that ends in an error, or without a program, has failed.
        """
        return self.outcome is None or self.outcome.counted

    @property
    def overdrawn(self) -> bool:
        """Whether more tokens were sent than the budget allowed."""
        return self.budget.tokens is not None and self.usage.tokens > self.budget.tokens

    @property
    def problem(self) -> tuple[str, str]:
        """The problem: the file name of its set and its task id."""
        return file_name(self.problems), self.task_id

    @property
    def untested(self) -> bool:
        """Whether the problem has no hidden tests that can be judged, so that nothing solves it."""
        return not self.total or self.outcome is Outcome.UNSUPPORTED

    @property
    def setting(self) -> Setting:
        """The setting that the row belongs to."""
        return Setting(self.problems, self.policy, self.format, self.agent, self.budget)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `from_row` is its inverse."""
        row = asdict(self) | {"usage": self.usage.to_row(), "solved": self.solved}
        row["budget"] = self.budget.to_row()
        return {name: value for name, value in row.items() if value or name not in ("cut", "capped")}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ResultRow:
        """Reads what `to_row` wrote."""
        whole = {**_DEFAULTS, **row}
        whole["outcome"] = _OUTCOMES[row["outcome"]] if row["outcome"] else None
        whole["usage"] = Usage(**row["usage"])
        whole["budget"] = _budget(tuple(row.get("budget", {}).items()))
        return cls(*_values(whole))


_WHICH_PART = ("shard", "task_ids", "agents", "seeds", "sweep")
"""Keys of a run's configuration that say which rows it makes; none of these rows depends on them."""

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_DEFAULTS = {field.name: field.default for field in fields(ResultRow) if field.default is not MISSING}
_values = itemgetter(*(field.name for field in fields(ResultRow)))
setting_key = attrgetter("agent", "problems", "policy", "format", "budget")


@cache
def file_name(problems: str) -> str:
    """Returns the name of a problem set without its folder."""
    return Path(problems).name


@cache
def _budget(limits: tuple[tuple[str, Any], ...]) -> Budget:
    return Budget(**dict(limits))


def read_results(folder: Path) -> list[ResultRow]:
    """Reads the rows of a run: of the folder itself and of those in it (shards, parts of a suite).

    Rows without an answer are among them, unless a resumed run has found one. A row that comes twice, as of a
    shard that was copied, run again or cut otherwise (1/2 and 1/4), is counted once: the first time.

    Raises:
        UsageError: When there is no such folder, or there are none in it.
        JournalError: When a file is broken.
    """
    require_folder(folder)
    # Each by itself: a part in which all has failed has no results.
    found, failures = (sorted(folder.rglob(f"{name}.jsonl")) for name in (RESULTS, FAILURES))
    try:
        with _no_collection():
            rows = _once(_rows(found), _whole_runs({path.parent for path in found}))
            failed = {(row.setting, row.seed, row.task_id): row for row in _rows(failures)}
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{folder}: holds a row that is not a result: {error!r}") from error
    if failed:
        answered = {(row.setting, row.seed, row.task_id) for row in rows}
        rows += (row for key, row in failed.items() if key not in answered)
    if not rows:
        raise UsageError(f"{folder}: no {RESULTS}.jsonl with rows; give the folder of a benchmark")
    return rows


def _once(rows: Iterable[ResultRow], whole: Mapping[str, str]) -> list[ResultRow]:
    """Drops duplicate rows; `whole` is as `_whole_runs` returns it."""
    found: dict[tuple[Any, ...], ResultRow] = {}
    for row in rows:
        found.setdefault((row.task_id, row.seed, whole.get(row.run, row.run), setting_key(row)), row)
    return list(found.values())


def _whole_runs(folders: Iterable[Path]) -> dict[str, str]:
    """Returns the digests of `whole_run` by `ResultRow.run`."""
    begun = filter(None, map(read_config, folders))
    return {one["hash"][:12]: whole_run(one.get("config") or {}) for one in begun}


def whole_run(config: Mapping[str, Any]) -> str:
    """Returns a digest of a run's configuration that runs share if only the part of the work differs."""
    return config_hash({key: config[key] for key in config.keys() - {*_WHICH_PART}})


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector from looking through rows that grow by the thousand and hold no circles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _rows(paths: Iterable[Path]) -> Iterator[ResultRow]:
    for path in paths:
        # Failures of a synthesis, which may lie in the folder too, name no agent.
        yield from (
            ResultRow.from_row(row) for row in read_rows(path) if path.stem != FAILURES or "agent" in row
        )
