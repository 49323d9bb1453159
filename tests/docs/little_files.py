"""Few and small files of the kinds that pages name: benchmarks, own problems, programs, code and settings."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import problem_row_to_json
from tests.docs.samples import ROOT

PROGRAMS = [f"def {name}(x):\n    return x{more}" for name in ("f0", "more") for more in ("", " + 601")]
PLANS = [{"type": "define", "text": "Add."}, {"type": "define", "text": "Return it as it is."}]
STEPS = {"problems": {"*": {"depths": [PLANS, [{"type": "code", "text": one} for one in PROGRAMS]]}}}
"""What plays the model: some of its programs are right for the first problems of HumanEval and MBPP below."""

HUMANEVAL = [
    {
        "task_id": f"HumanEval/{n}",
        "prompt": f'def f{n}(x):\n    """Add {n}.\n\n    >>> f{n}(1)\n    {n + 1}\n    """\n',
        "entry_point": f"f{n}",
        "canonical_solution": f"    return x + {n}\n",
        "test": f"def check(candidate):\n    assert candidate(5) == {n + 5}\n",
    }
    for n in range(4)
]
MBPP = [
    {
        "task_id": n,
        "text": f"Write a function to add {n} to a number.",
        "prompt": f"Write a function to add {n} to a number.",
        "code": f"def more(x):\n    return x + {n}",
        "test_list": [f"assert more({x}) == {x + n}" for x in (1, 5, 9)],
        "test_imports": [],
    }
    for n in (11, 12, 13, 511, 512, 601, 603, 605, 607)  # of the splits test, validation and train
]
OWN_CODE = {
    "my_policies.py": (
        "from o1coder_gym.policies.scripted import ScriptedPolicy\n\n\n"
        "def MyPolicy():\n    return ScriptedPolicy.from_file('script.json')\n"
    ),
    "my_package/scorers.py": (
        "class MyScorer:\n    def score(self, items):\n        return [0.5 for _ in items]\n"
    ),
    "my_rewards.py": "def short(evidence):\n    return float(len(evidence.process) < 4)\n",
}
"""What pages name as code of one's own and do not show."""


def write_benchmarks(folder: Path) -> None:
    """Writes the files in which benchmarks come, for `O1CODER_DATA`."""
    write_rows(folder / "humaneval/HumanEval.jsonl.gz", HUMANEVAL)
    write_rows(folder / "mbpp/mbpp.jsonl", MBPP)
    (folder / "mbpp/sanitized-mbpp.json").write_text(json.dumps(MBPP))


def write_files(folder: Path) -> None:
    """Writes a script that plays the model, problems, programs and code of one's own, and settings."""
    for name, text in OWN_CODE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "script.json").write_text(json.dumps(STEPS))
    rows = [
        problem_row_to_json(row) | {"meta": {"cpu_s": 2}} for row in load_rows("micro", split="train")[:16]
    ]
    for name, part in (("own", rows[:12]), ("other", rows[12:])):
        write_rows(folder / f"{name}.jsonl", part)
    for name, task in (("S", "Mbpp/11"), ("P", "HumanEval/0"), ("solutions", "HumanEval/0")):
        write_rows(folder / f"{name}.jsonl", [{"task_id": task, "code": one} for one in PROGRAMS])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "my.parquet")
    shutil.copy(ROOT / "benchmarks/selfplay/expert_tiny.toml", folder / "mine.toml")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows as JSON lines, packed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
