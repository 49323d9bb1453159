"""Sources of problem sets: a path, the folder ``O1CODER_DATA``, an installed package, the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import ProblemFileError, UnknownNameError, UsageError, require
from o1coder_gym.problems.containers import SUFFIXES, Line, file_lines, folder_lines, stem
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.problems.known_sets import KNOWN_SETS, KnownSet, find_files
from o1coder_gym.runs.hub import hub_reachable

_HUB_NAME = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<configuration>[\w.+-]+))?(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.-]+))?"
)


def open_source(name: str, *, streaming: bool = False) -> tuple[str, Iterable[Iterable[Line]]]:
    """Returns a set's place and its rows, a group for each file or split.

    Args:
        name: A file, a known set, a folder, or ``hf:owner/name[/configuration][@revision][:split]``.
        streaming: Reads from the Hub without downloading all first.

    Raises:
        UnknownNameError: When there is no such set.
        ProblemFileError: When there is no such file, or the Hub cannot be asked.
        MissingExtraError: When it takes a package that is not installed.
    """
    path, known = Path(name).expanduser(), KNOWN_SETS.get(name)
    if path.is_file():
        return str(path), [file_lines(path, stem(path))]
    if known is not None:
        return _open_known(known, streaming)
    if path.is_dir():
        return str(path), folder_lines(path, path.resolve().name)
    if match := _HUB_NAME.fullmatch(name):
        return _open_hub(HubSet(**match.groupdict()), name, "", streaming)
    if name.startswith("hf:"):
        raise UsageError(f"{name}: expected hf:owner/name[/configuration][@revision][:split]")
    if name.endswith(SUFFIXES) or os.sep in name:
        raise ProblemFileError(f"{name}: no such file")
    raise UnknownNameError("problem set", name, KNOWN_SETS)


def _open_known(known: KnownSet, streaming: bool) -> tuple[str, Iterable[Iterable[Line]]]:
    if files := find_files(known):
        source = str(files[0] if len(files) == 1 else files[0].parent)
        return source, [file_lines(file, f"{known.name}/{stem(file)}") for file in files]
    looked = f"{known.name}: not in O1CODER_DATA ({known.files})"
    if known.hub is None:
        raise ProblemFileError(f"{looked}, and it can only be read from there")
    repo, configuration = known.hub
    wanted = HubSet(repo, configuration, split=known.split)
    return _open_hub(wanted, known.name, f"{looked}, and ", streaming)


@dataclass(frozen=True, slots=True)
class HubSet:
    """A data set on the Hugging Face Hub; what is None is what the Hub takes if nothing is said."""

    repo: str
    configuration: str | None = None
    revision: str | None = None
    split: str | None = None


def _open_hub(
    wanted: HubSet, name: str, looked: str, streaming: bool
) -> tuple[str, Iterable[Iterable[Line]]]:
    """Loads a set from the Hugging Face cache or Hub; `looked` begins the message where that fails."""
    require("data", "datasets")
    import datasets
    import datasets.config

    repo = wanted.repo
    cached = Path(datasets.config.HF_DATASETS_CACHE, repo.replace("/", "___")).is_dir()
    if not cached and not hub_reachable():
        raise ProblemFileError(f"{looked or f'{name}: '}the Hugging Face Hub ({repo}) cannot be reached")
    try:
        loaded: Any = datasets.load_dataset(
            repo, wanted.configuration, revision=wanted.revision, split=wanted.split, streaming=streaming
        )
    except (OSError, RuntimeError, ValueError) as error:
        # datasets no longer runs loading scripts: the files of such a repository are read as they are.
        if "script" in str(error):
            return _open_repository(wanted, name)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProblemFileError(
            f"{looked or f'{name}: '}the Hugging Face Hub ({repo}) failed: {reason}"
        ) from error
    splits = loaded if wanted.split is None else {wanted.split: loaded}
    group = name if name in KNOWN_SETS else repo
    groups = (_hub_lines(repo, group, str(split), rows) for split, rows in splits.items())
    return f"Hugging Face, {repo}", groups


def _open_repository(wanted: HubSet, name: str) -> tuple[str, Iterable[Iterable[Line]]]:
    """Downloads the files of a set that has a loading script, which is not run, and reads them."""
    from huggingface_hub import snapshot_download

    patterns = [f"*{suffix}" for suffix in SUFFIXES]
    folder = Path(
        snapshot_download(wanted.repo, repo_type="dataset", revision=wanted.revision, allow_patterns=patterns)
    )
    groups = folder_lines(folder, name if name in KNOWN_SETS else wanted.repo)
    return f"Hugging Face, {wanted.repo}", (_of_split(lines, wanted.split) for lines in groups)


def _of_split(lines: Iterable[Line], split: str | None) -> Iterator[Line]:
    return (line for line in lines if split is None or line.origin.split == split)


def _hub_lines(repo: str, name: str, split: str, rows: Iterable[object]) -> Iterator[Line]:
    for index, item in enumerate(rows):
        yield Line(f"{repo}, {split}, row {index + 1}", Origin(f"{name}/{split}", index, split), item)
