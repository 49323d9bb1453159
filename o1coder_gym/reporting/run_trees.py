"""The search trees of a run folder, and a viewer page per problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.hidden_tests import HiddenVerdict, logged_verdicts
from o1coder_gym.process_data.search_tree import TREES, SearchTree, tree_rows
from o1coder_gym.reporting.results.rows import whole_run
from o1coder_gym.runs.journal import read_config, require_folder
from o1coder_gym.specs import one_of

Verdicts: TypeAlias = Mapping[tuple[str, str], HiddenVerdict]
"""What the hidden tests have said, by task id and `candidate_name`."""


class RunTrees:
    """The trees of a run, read on demand.

    Attributes:
        folder: The run folder.
        task_ids: The problems that have trees, by name and number; searches end in any order.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the rows of the folder and of the runs in it (shards, parts of a suite), each once.

        As of rows (`read_results`), a tree of a run that was cut into shards twice comes from the first.

        Raises:
            UsageError: When there is no such folder, or it has no trees.
            JournalError: When the file of trees is damaged.
        """
        require_folder(folder, "bench or solve")
        self.folder = folder
        self._parts = sorted(path.parent for path in folder.rglob(f"{TREES}.jsonl"))
        self._rows = list(self._of_parts())
        if not self._rows:
            raise UsageError(f"{folder}: no search trees ({TREES}.jsonl); it must be a run of bench or solve")
        self.task_ids = tuple(sorted({row["task_id"] for row in self._rows}, key=_by_numbers))

    def _of_parts(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of all parts; with several parts, the agent's name includes the part's."""
        known: set[tuple[str, ...]] = set()
        for part in self._parts:
            suffix = f" · {part.relative_to(self.folder)}" if len(self._parts) > 1 else ""
            begun = read_config(part)
            run = str(part) if begun is None else whole_run(begun.get("config") or {})
            for row in tree_rows(part):
                key = (run, row["task_id"], row["agent"], str(row["seed"]))
                if key not in known:
                    known.add(key)
                    yield row | {"agent": row["agent"] + suffix}

    def all(self) -> Iterator[SearchTree]:
        """Yields all trees of the run."""
        return map(SearchTree.from_row, self._rows)

    def verdicts(self) -> Verdicts:
        """Returns the run's verdicts on hidden tests."""
        return {key: verdict for part in self._parts for key, verdict in logged_verdicts(part).items()}

    def task_id(self, name: str) -> str:
        """Returns the problem of a task id, or of a unique beginning of one.

        Raises:
            UnknownNameError: When there is no such problem.
            UsageError: When more than one begins with it.
        """
        return one_of("problem of the run", name, self.task_ids)

    def of(self, task_id: str, agents: Sequence[str] = (), seed: int | None = None) -> list[SearchTree]:
        """Returns the trees of a problem, in the order of the run.

        Args:
            task_id: The problem; a beginning of its task id will do.
            agents: Keeps the trees of these agents, in this order; all if empty.
            seed: Keeps the trees of this seed; None keeps all.

        Raises:
            UnknownNameError: When there is no such problem, or no such agent has a tree of it.
        """
        task_id = self.task_id(task_id)
        rows = [row for row in self._rows if row["task_id"] == task_id and seed in (None, row["seed"])]
        known = [row["agent"] for row in rows]
        for agent in agents:
            if agent not in known:
                raise UnknownNameError(f"agent with a tree of {task_id}", agent, known)
        if agents:
            rows = sorted(
                (row for row in rows if row["agent"] in agents), key=lambda r: agents.index(r["agent"])
            )
        return [SearchTree.from_row(row) for row in rows]

    def agents(self, task_id: str) -> list[str]:
        """Returns the names of the agents that have a tree of a problem."""
        return list(dict.fromkeys(row["agent"] for row in self._rows if row["task_id"] == task_id))


def _by_numbers(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
