"""Every sample of the README and the pages runs in a test, or this file says why it does not."""

import ast
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from tests.command_line import check_documented
from tests.docs.samples import BLOCKS, NEWLINE, PAGES, ROOT, SHELL, Block, commands

RUN_BY = {
    ("README.md", "python"): "docs/test_readme.py",
    ("README.md", "json"): "docs/test_readme.py",
    ("adversary.md", "python"): "docs/test_pages.py",
    ("benchmark.md", "python"): "docs/test_pages.py",
    ("benchmark.md", "yaml"): "docs/test_pages.py",
    ("custom_agents.md", "python"): "docs/test_custom_agents.py",
    ("custom_agents.md", "toml"): "docs/test_custom_agents.py",
    ("data_formats.md", "python"): "docs/test_pages.py",
    ("data_formats.md", "toml"): "problems/formats/test_formats.py",
    ("doors.md", "python"): "docs/test_pages.py",
    ("doors.md", "yaml"): "docs/test_pages.py",
    ("environments.md", "python"): "docs/test_custom_agents.py",
    ("experiments.md", "python"): "docs/test_pages.py",
    ("experiments.md", "{code-block}"): "docs/test_pages.py",
    ("getting_started.md", "python"): "docs/test_pages.py",
    ("paper.md", "python"): "docs/test_pages.py",
    ("policies.md", "python"): "docs/test_policies.py",
    ("prm.md", "python"): "docs/test_prm.py",
    ("problems.md", "python"): "docs/test_pages.py",
    ("problems.md", "json"): "docs/test_pages.py",
    ("reports.md", "python"): "docs/test_pages.py",
    ("rl_libraries.md", "python"): "docs/test_pages.py",
    ("rl_libraries.md", "{code-block}"): "adapters/real/blocks.py",
    ("scaling.md", "python"): "docs/test_pages.py",
    ("searching.md", "python"): "agents/test_docs.py",
    ("self_play.md", "python"): "docs/test_self_play.py",
    ("tcg.md", "python"): "docs/test_pages.py",
    ("tutorial.md", "python"): "docs/test_tutorial.py",
}
"""What runs, or reads, the blocks of a page in a language."""

NOT_RUN = {
    "GenericEnvClient(base_url": "asks a server of OpenEnv; tests/adapters/real/check_openenv.py starts one",
    "O1CoderVerifier.run_webserver": "serves for ever; tests/adapters/real/check_nemo_gym.py starts it",
    "AsyncGRPOTrainer(": "needs a GPU and vLLM; tests/adapters/real/check_trl.py makes its environments",
}
"""Blocks that no test of `make test` runs, by a part of each, and why."""

BUILT = {"mermaid", "{toctree}", "{eval-rst}"}
"""What `make docs` builds, where warnings are errors."""
OUTPUT = "text"
"""What was printed, or a picture of a folder."""

FOREIGN = {
    "curl": "asks a server; tests/docs/test_shell_samples.py asks it the same",
    "git": "fetches this project",
    "inspect": "of Inspect; tests/adapters/real/check_inspect.py",
    "ray": "starts a cluster; tests/runs/test_executors.py uses one of this machine",
    "tensorboard": "shows a page until it is stopped",
    "trl": "of TRL; tests/adapters/real/check_trl.py",
    "uvicorn": "serves for ever; tests/adapters/real/check_openenv.py starts it",
    "vf-eval": "of verifiers; tests/adapters/real/check_verifiers.py",
}
"""Commands that are not this project's, and why no test of `make test` runs them."""


BUILTINS = {"cd", "export", "source"}
MAKEFILE = (ROOT / "Makefile").read_text()


def unrun(block: Block) -> list[str]:
    """The parts in `NOT_RUN` that name a block."""
    return [part for part in NOT_RUN if part in block.text]


def test_every_block_names_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```.*$", page.read_text(), flags=re.M)
        assert [fence for fence in fences[::2] if fence == "```"] == [], page.name


def test_every_sample_runs_or_says_why_not() -> None:
    neither = [
        block
        for block in BLOCKS
        if block.language not in {*BUILT, OUTPUT, "sh"}
        and (block.page, block.language) not in RUN_BY
        and not unrun(block)
    ]
    assert neither == [], "let a test run them and name it in RUN_BY, or say in NOT_RUN why none does"


def test_what_is_said_of_samples_is_not_out_of_date() -> None:
    assert RUN_BY.keys() <= {(block.page, block.language) for block in BLOCKS}
    assert {part for block in BLOCKS for part in unrun(block)} == NOT_RUN.keys()
    assert {one.program for block in SHELL for one in commands(block.text)} >= FOREIGN.keys()
    named = re.findall(r"tests/[\w/]+(?:\.py)?", " ".join((*NOT_RUN.values(), *FOREIGN.values())))
    assert [file for file in named if not (ROOT / file).exists()] == []


@pytest.mark.parametrize(("page", "file"), sorted({(page, file) for (page, _), file in RUN_BY.items()}))
def test_the_file_that_runs_a_page_reads_it(page: str, file: str) -> None:
    text = (ROOT / "tests" / file).read_text()
    assert page in text
    assert "exec(" in text or "loads(" in text


@pytest.mark.parametrize("block", [block for block in BLOCKS if unrun(block)], ids=lambda block: block.page)
def test_what_no_test_runs_imports_what_there_is(block: Block) -> None:
    source = "async def main():\n" + "".join(f"    {line}\n" for line in block.text.splitlines())
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("o1coder_gym"):
            path = Path(ROOT, *str(node.module).split(".")).with_suffix(".py")
            if path.name == "nemo_gym.py":  # imports a package that is not here
                assert all(f"class {name.name}(" in path.read_text() for name in node.names)
                continue
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"{block.page}: {block.text[:30]}")
def test_commands_of_a_block_exist(block: Block) -> None:
    for one in commands(block.text):
        word, rest, name = one.program, one.words, Path(one.program).name
        if name in ("uv", "pip") or rest[:2] == ["-m", "pip"]:
            check_installed(rest)
        elif one.own is not None:  # and test_shell_samples.py runs it
            check_documented(one.own)
        elif name == "make":
            targets = {f"{word}:" for word in rest if "=" not in word}
            assert targets <= set(re.findall(r"^[\w-]+:", MAKEFILE, flags=re.M))
        elif name in ("python", "python3"):
            check_python(rest)
        else:
            assert name in FOREIGN or name in BUILTINS, f"{word}: say in FOREIGN why no test runs it"


def check_installed(words: list[str]) -> None:
    """Asserts that extras that are installed exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for found in re.findall(r"(?:o1coder-gym|\.)\[([\w,-]+)\]", " ".join(words)):
        assert set(found.split(",")) <= extras.keys()


def check_python(words: list[str]) -> None:
    """Asserts that a script or a module of this project is there, and that a program of one line compiles."""
    if words[0] == "-c":
        compile(words[1].replace(NEWLINE, "\n"), "docs", "exec")
    elif words[0] == "-m" and words[1].startswith("o1coder_gym"):
        assert importlib.util.find_spec(words[1]) is not None
    elif words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file() or words[0] == "your_program.py"
