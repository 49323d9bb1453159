"""The commands of the README and the pages run, one after the other, on little."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from o1coder_gym.experiments.measures import reproduction
from tests.command_line import call, find, names_of
from tests.docs.little_files import write_benchmarks, write_files
from tests.docs.samples import BLOCKS, NEWLINE, ROOT, SHELL, Command, commands
from tests.policies.conftest import Server
from tests.served import served

SCRIPT = "scripted:script.json"
TINY = "tiny"

WORDS = {
    r"(hf|vllm):(tiny|qwen2\.5-coder-0\.5b)(\?dtype=float32)?": SCRIPT,
    r"hf-or-folder|FOLDER|qwen2\.5-coder-0\.5b": TINY,
    r"openai:http://127\.0\.0\.1:8000/v1\?draws=own": "hf",  # a sampler
    r"openai:http://127\.0\.0\.1:8000/v1(\?.*)": r"openai:{server}\1",
    r"hf:(newfacade|agentica-org|owner)/.*": "own.jsonl",
    r"(benchmarks/selfplay/expert)\.toml": r"\1_tiny.toml",
    r"benchmarks/suites/thinking\.yaml": "suite.yaml",
    r"humaneval\+": "humaneval",  # the same problems
    r"/shared/mine": "shared/mine",
    r"RUN": "runs/second",
    r"widest(\?.*)": r"my_agents.py:widest\1",  # the page tells how to install it
    r"micro/test-0005": "micro/test-0001",
}
"""What a word of the pages becomes: what is large, or on another machine, something small of its kind."""

SMALLER = {
    "--batch": "2",
    "--batch-problems": "2",
    "--episodes": "2",
    "--held-out-limit": "2",
    "--limit": "2",
    "--max-steps": "2",  # of an episode, and of an optimizer
    "--max-tokens": "8",
    "--mutants": "2",
    "--problems.held-out-limit": "1",
    "--problems.limit": "2",
    "--resamples": "20",
    "--rollout": "4",
    "--rows-at-once": "2",
    "--run.iterations": "1",
    "--run.max-tokens": "48",
    "--run.samples": "1",
    "--samples": "2",
    "--steps": "16",
    "--synthesis.tests": "0",
    "--synthesis.tokens": "256",
    "--updates": "1",
    "--validation": "0.5",
    "--workers": "1",
}
"""What options take here, in all commands that have them."""

ADDED = {"--policy": SCRIPT, "--model": TINY}
"""What they take where a page leaves them out, which is the default model."""

BY_CHOICE = "tcg eval"
"""Needs no model, and has none added."""

AS_IT_IS = ("selfplay init", "rl plan")
"""Commands that cost nothing: all their options stay."""

ELSEWHERE = {
    "reproduce codet": "samples that one downloads; tests/experiments/measures/test_codet.py has some",
    "--run.format vanilla": "the tiny model writes steps only: no direct answer of it passes",
}
"""Commands of this project that do not run here, by a part of each, and why."""

MAKING = """
o1coder bench --problems starter --tokens 512,1024 --agent mcts --agent puct --out runs/second
o1coder bench --problems starter --format vanilla --format pseudocode --agent best_of_n --out runs/thinking
o1coder synthesize --problems mbpp --split train --out runs/data
o1coder sft --data runs/data --out runs/sft
o1coder prm train --data runs/data --out runs/prm
"""
"""Makes the runs that pages name and no command before makes."""
ALSO = {"runs/synthesis": "runs/data", "runs/dpo": "runs/sft", "runs/thinking-trained": "runs/thinking"}
"""Likewise, as copies."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few problems, in the files in which benchmarks come."""
    folder = tmp_path_factory.mktemp("data")
    write_benchmarks(folder)
    return folder


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that pages name and their commands do not make."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("O1CODER_DATA", str(data))
        patch.chdir(folder)
        write_files(folder)
        for command in commands(MAKING):
            assert (done := call(*small(command.words))).exit_code == 0, done.output
        for copy, run in ALSO.items():
            shutil.copytree(run, copy)
    return folder


def small_suite(suite: dict[str, Any]) -> dict[str, Any]:
    """A suite of as many cells, each on one problem, and a script."""
    smaller = {"policies": [SCRIPT], "tokens": [64, 128] if len(suite.get("tokens", ())) > 1 else [256]}
    # a script has no weights, and so no FLOPs
    found = {key: smaller.get(key, value) for key, value in suite.items() if key != "within_flops"}
    if "problems" in suite:
        sets = [one if isinstance(one, dict) else {"name": one} for one in suite["problems"]]
        found["problems"] = [one | {"limit": 1} for one in sets]
    cells = {name: small_suite(cell) for name, cell in suite.get("cells", {}).items()}
    return found | ({"cells": cells} if cells else {})


def small(words: list[str], server: str = "") -> list[str]:
    """Returns the words of a command of a page as they are run here."""
    words = [substitute(word, server) for word in words[: words.index(">") if ">" in words else None]]
    command, rest = find(words)
    name = words[: len(words) - len(rest)]
    if " ".join(name) in AS_IT_IS or "--suite" in rest:
        return words
    options = names_of(command)
    for option, value in SMALLER.items():
        if option in options and "--task" not in rest:
            place = rest.index(option) if option in rest else len(rest)
            rest[place : place + 2] = [option, value]
    added = {} if " ".join(name) == BY_CHOICE else ADDED
    for option in added.keys() & options - {*rest}:
        rest += [option, added[option]]
    return [*name, *rest]


def substitute(word: str, server: str) -> str:
    """Returns a word, or what `WORDS` has in its place."""
    for pattern, other in WORDS.items():
        if (found := re.fullmatch(pattern, word)) is not None:
            return found.expand(other).format(server=server)
    return word


class Reader:
    """Who follows a page from its top to its end, in an empty folder."""

    def __init__(self, page: str, made: Path, server: str) -> None:
        self.page, self.made, self.server = page, made, server
        self.first: list[str] = []
        self.commands = [one for block in SHELL if block.page == page for one in commands(block.text)]
        shutil.copy(made / "script.json", "script.json")
        Path("benchmarks").symlink_to(ROOT / "benchmarks")
        self._save_agents()
        self._save_suite()

    def _save_agents(self) -> None:
        named = {name for one in self.commands for name in re.findall(r"my_agents\.py:(\w+)", str(one.words))}
        shown = [block.text for block in BLOCKS if (block.page, block.language) == (self.page, "python")]
        agents = [
            text for text in shown if any(re.search(rf"^(def|class) {one}\b", text, re.M) for one in named)
        ]
        Path("my_agents.py").write_text("\n\n".join(agents))

    def _save_suite(self) -> None:
        shown = [block.text for block in BLOCKS if (block.page, block.language) == (self.page, "yaml")]
        suite = (*shown, (ROOT / "benchmarks/suites/thinking.yaml").read_text())[0]
        Path("suite.yaml").write_text(json.dumps(small_suite(yaml.safe_load(suite))))

    def run(self, command: Command) -> None:
        """Runs a command, if it is of this project; fails unless it succeeds."""
        if command.words[:1] == ["-c"]:
            exec(compile(command.words[1].replace(NEWLINE, "\n"), self.page, "exec"), {})
        if command.own is None or any(part in " ".join(command.own) for part in ELSEWHERE):
            return
        words = small(self._whole(command.own), self.server)
        if "--out" in words and "--resume" not in words:  # pages show several ways to make the same
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        if words[:2] != ["selfplay", "init"]:
            self._provide(" ".join(words))
        done = call(*words)
        assert done.exit_code == 0, (words, done.output)
        assert "it/s" not in done.stderr, (words, "shows bars of another library")
        if words[:2] == ["selfplay", "init"]:  # the model that it names is not that of a laptop
            shutil.copy(self.made / "mine.toml", words[2])

    def _whole(self, words: list[str]) -> list[str]:
        """Returns the words with those of the page's first command in place of an ellipsis."""
        self.first = self.first or words
        return [one for word in words for one in (self.first[1:-2] if word == "…" else [word])]

    def _provide(self, words: str) -> None:
        """Copies what the words name and the page has not made."""
        made_here = re.findall(r"--out (\S+)", words)
        for name in {*re.findall(r"runs/[\w-]+|my_\w+|\w+\.\w+", words)} - {*made_here}:
            for path in (Path(name), Path(f"{name}.py")):
                if (found := self.made / path).exists() and not path.exists():
                    shutil.copytree(found, path) if found.is_dir() else shutil.copy(found, path)


def ask(app: Any, page: str, **options: Any) -> None:
    """Serves an app for as long as it takes to ask it what the page asks."""
    asked = [
        one for block in SHELL if block.page == page for one in commands(block.text) if one.program == "curl"
    ]
    with served(app) as port:
        url = f"http://127.0.0.1:{port}"
        if not asked:
            assert httpx.get(f"{url}/health").is_success
        for one in asked:
            address, _, text = one.words
            body = json.loads(text.replace(NEWLINE, "\n").replace("qwen2.5-coder-0.5b", "script.json"))
            reply = httpx.post(f"{url}/{address.partition('/')[2]}", json=body)
            assert reply.is_success, reply.text


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of a language model that writes a plan and a program."""
    server = Server(["Add.\n\n### Step 2 (code)\n```python\ndef f0(x):\n    return x\n```\n"])
    yield server
    server.close()


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets modules of one's own, before and after: other tests have some of the same names."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_modules()
    yield
    forget_modules()


def forget_modules() -> None:
    """Forgets the modules whose names begin as those of pages do."""
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*such states are dead ends")  # of models whose context is short
@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize("page", sorted({block.page for block in SHELL}))
def test_the_commands_of_a_page_run(
    page: str, data: Path, made: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setenv("O1CODER_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("uvicorn.run", partial(ask, page=page))
    shrink_results(monkeypatch)
    reader = Reader(page, made, server.url)
    for command in reader.commands:
        with monkeypatch.context() as patch:
            for name, value in command.variables.items():
                patch.setenv(name, value)
            reader.run(command)


def shrink_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `o1coder reproduce`, which has no options for it, measure on two problems with a script."""
    run_suite, measure = reproduction.run_suite, reproduction.measure_generator

    def suite(suite: Any, *arguments: Any, **options: Any) -> Any:
        few = tuple(replace(one, limit=2) for one in suite.problems)
        return run_suite(replace(suite, problems=few, policies=(SCRIPT,)), *arguments, **options)

    def generator(settings: Any, *arguments: Any, **options: Any) -> Any:
        return measure(replace(settings, limit=2, mutants=2), *arguments, **options)

    monkeypatch.setattr(reproduction, "run_suite", suite)
    monkeypatch.setattr(reproduction, "measure_generator", generator)


def test_what_does_not_run_is_on_a_page() -> None:
    shown = [" ".join(one.own) for block in SHELL for one in commands(block.text) if one.own]
    assert [part for part in ELSEWHERE if not any(part in words for words in shown)] == []
    named = re.findall(r"tests/\S+\.py", " ".join(ELSEWHERE.values()))
    assert [file for file in named if not (ROOT / file).exists()] == []
