"""The questions that a model was trained on, kept beside its weights for later evaluations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from o1coder_gym.errors import O1CoderError
from o1coder_gym.problems.likeness.identity import question_key
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.provenance import artefact_path
from o1coder_gym.types import Problem

FILE = "trained_on.json"
"""Lies in the folder of a model: the keys of the questions."""


def write_trained_on(model: Path, problems: Iterable[Problem], *starts: str) -> None:
    """Writes the questions that a model, and the model that it started from, were trained on.

    Args:
        model: Folder of the new model, or of data that one is to be trained on.
        problems: Those of the training.
        starts: Specs or folders of the model before, and of data that knows its problems.
    """
    write_keys(model, keys_of(problems, *starts))


def keys_of(problems: Iterable[Problem] = (), *starts: str) -> set[str]:
    """Returns the keys of questions, and of those that the folders of models or data know."""
    keys = {question_key(problem) for problem in problems}
    return keys.union(*(_keys(artefact_path(start)) for start in starts))


def write_keys(folder: Path, keys: Iterable[str]) -> None:
    """Writes `FILE` into the folder of a model, or of a run that is to make one."""
    write_whole(folder / FILE, json.dumps(sorted(keys)) + "\n")


def trained_on(model: str, problems: Iterable[Problem]) -> list[str]:
    """Returns the task ids of the problems that a model was trained on, as far as its folder tells.

    Args:
        model: Spec or folder.
        problems: Those that it is to be evaluated on.

    Raises:
        O1CoderError: When the file is damaged.
    """
    keys = _keys(artefact_path(model))
    return [problem.task_id for problem in problems if question_key(problem) in keys] if keys else []


def _keys(folder: Path) -> set[str]:
    path = folder / FILE
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise O1CoderError(f"{path}: does not say what the model was trained on") from error
