"""Exports for other trainers: TRL's stepwise and preference formats, Math-Shepherd's, Parquet, datasets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

from o1coder_gym.errors import MissingExtraError, O1CoderError, UnknownNameError
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.process_data.dataset import ProcessData
from o1coder_gym.process_data.trajectories import Trajectory, trajectories
from o1coder_gym.steps.formats import StepFormat, load_format
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import State

Rows = Iterator[dict[str, Any]]

SHEPHERD_TAG = "ки"
"""Ends each step in Math-Shepherd's format."""


def stepwise(data: ProcessData) -> Rows:
    """Yields TRL's stepwise rows: prompt, completions, labels (hard, as booleans), and soft labels beside."""
    write = load_format(data.format)
    prompts = _questions(data)
    for trajectory in _whole(data):
        rows = [row for row in trajectory.rows if row is not None]
        yield {
            "prompt": prompts[trajectory.state.problem_id],
            "completions": _steps(trajectory.state, write),
            "labels": [bool(row.hard) for row in rows],
            "soft_labels": [row.soft for row in rows],
        }


def math_shepherd(data: ProcessData) -> Rows:
    """Yields Math-Shepherd's rows: the solution once with tags, once with + or − in their place."""
    for row in stepwise(data):
        steps, labels = row["completions"], row["labels"]
        tagged = "\n".join(f"{step} {SHEPHERD_TAG}" for step in steps)
        marked = "\n".join(f"{step} {'+' if good else '-'}" for step, good in zip(steps, labels, strict=True))
        yield {
            "input": f"{row['prompt']} {tagged}",
            "label": f"{row['prompt']} {marked}",
            "task": "code",
        }


def preferences(data: ProcessData) -> Rows:
    """Yields TRL's preference rows: prompt = question and prefix, the two steps, their margin.

    A prompt ends before the last space of the header that both steps begin with: after ``### Step 2``, where
    the answer continues with `` (code)``. Trainers encode a prompt alone and with each answer. Tokenizers of
    GPT-2's kind join a blank line at the end of a prompt otherwise than one before a header; those of
    GPT-4's, as Qwen's, join it with the full stop before it; neither joins a word with a space behind it.
    """
    write = load_format(data.format)
    prompts = _questions(data)
    for pair in data.pairs:
        above = [prompts[pair.state.problem_id].rstrip(), *_steps(pair.state, write)]
        steps = [write.render(step, len(above)).rstrip() for step in (pair.chosen, pair.rejected)]
        before = "\n\n".join(above)
        shared = _shared_header(*steps)
        # The blank line belongs to the side of the header.
        place = len(before) + (len(f"\n\n{shared}") if shared else 0)
        # Both sides are cut at the same place, so prompt + answer is exactly the text that the policy would
        # see.
        chosen, rejected = (f"{before}\n\n{step}" for step in steps)
        yield {
            "prompt": chosen[:place],
            "chosen": chosen[place:],
            "rejected": rejected[place:],
            "margin": pair.margin,
        }


def _shared_header(chosen: str, rejected: str) -> str:
    """Returns the first line that two steps share, up to its last space; whole, if it is a fence."""
    one, other = (step.partition("\n")[0] for step in (chosen, rejected))
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    alike = "".join(letter for letter, _ in pairs)
    return one if one == other and " " not in one else alike.rpartition(" ")[0]


def demonstrations(data: ProcessData) -> Rows:
    """Yields TRL's prompt–completion rows of D⁺ (Eq. 2): what the policy is shown, and the whole chain."""
    write = load_format(data.format)
    problems = {problem.task_id: problem for problem in data.problems}
    for path in data.paths:
        prompt = write.prompt(problems[path.state.problem_id], State(path.state.problem_id))
        opening = prompt.prefill.removesuffix(prompt.opening)
        answer = opening + "\n\n".join(_steps(path.state, write)) + "\n"
        yield {
            "prompt": [{"role": role, "content": content} for role, content in prompt.messages],
            "completion": [{"role": "assistant", "content": answer}],
        }


TABLES: Mapping[str, Callable[[ProcessData], Rows]] = MappingProxyType(
    {
        "stepwise": stepwise,
        "math_shepherd": math_shepherd,
        "preferences": preferences,
        "demonstrations": demonstrations,
    }
)
"""What may be exported, one JSON object a row."""

EXPORTS = (*TABLES, "parquet", "datasets")


def export(data: ProcessData, name: str, folder: Path) -> None:
    """Writes an export, a file per table and split.

    Args:
        data: The data set to export.
        name: One of `EXPORTS`; ``parquet`` and ``datasets`` hold the three tables of TRL.
        folder: Created with its parents.

    Raises:
        UnknownNameError: When there is no such export.
        MissingExtraError: When `datasets` is needed and not installed.
    """
    if name not in EXPORTS:
        raise UnknownNameError("export", name, EXPORTS)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        part = data.of_split(split)
        if name in TABLES:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in TABLES[name](part)]
            # Models write lone surrogates now and then, which UTF-8 cannot hold; replaced, they are escapes
            # of JSON.
            (folder / f"{split}.jsonl").write_text("".join(lines), errors="backslashreplace")
            continue
        for table in ("stepwise", "preferences", "demonstrations"):
            if rows := list(TABLES[table](part)):
                _write_table(rows, name, folder, f"{table}-{split}")


def _write_table(rows: list[dict[str, Any]], name: str, folder: Path, stem: str) -> None:
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "data", error) from error
    try:
        table = Dataset.from_list(rows)
        if name == "parquet":
            table.to_parquet(folder / f"{stem}.parquet")
        else:
            table.save_to_disk(folder / stem)
    except UnicodeEncodeError as error:
        raise O1CoderError(f"{stem}: a step holds text that Parquet cannot store: {error}") from error


def _whole(data: ProcessData) -> Iterator[Trajectory]:
    """Yields the trajectories in which every step has a label, as other trainers expect."""
    # Other trainers take a label list as long as the steps; a hole would shift it.
    return (one for one in trajectories(data.prefixes) if None not in one.rows)


def _questions(data: ProcessData) -> dict[str, str]:
    return {problem.task_id: question(problem) for problem in data.problems}


def _steps(state: State, write: StepFormat) -> list[str]:
    return [write.render(step, index).rstrip() for index, step in enumerate(state.steps, start=1)]
