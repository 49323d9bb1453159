"""The folders are the layers: who may import whom, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "stable_baselines3",
    "sb3_contrib",
    "vllm",
    "ray",
}
IMPORTED_WHERE_USED = {
    "agents.choice_ppo",
    "agents.step_dpo",
    "agents.step_grpo",
    "prm.fitting",
    "prm.model",
    "prm.probing",
    "prm.reading",
    "prm.scorer",
    "prm.training",
    "trainer_progress",
}
CONTRACTS = {"types", "protocols", "queries", "errors"}
GROUND = {"specs", "parameters", "registry"}
MAY_LOAD_HIDDEN_TESTS = {"evaluation", "tcg", "cli"}


def modules() -> dict[str, Path]:
    """Every module of the installed package by its dotted name below `o1coder_gym`."""
    found = {}
    for folder, prefix in (("o1coder_gym", ""), ("agents", "agents."), ("envs", "envs.")):
        for path in (ROOT / folder).rglob("*.py"):
            relative = path.relative_to(ROOT / folder)
            if prefix == "" and relative.parts[0] in ("agents", "envs"):
                continue
            name = prefix + ".".join(relative.with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names that a module imports (`from a.b import c` gives `a.b` and `a.b.c`)."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(path: Path) -> set[str]:
    """The modules of this project that `path` imports, below `o1coder_gym`."""
    return {name.removeprefix("o1coder_gym.") for name in imports(path) if name.startswith("o1coder_gym.")}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name: str) -> None:
    layer = name.split(".")[0]
    tops = {imported.split(".")[0] for imported in own(MODULES[name])}
    if layer == "types":
        assert not tops
    elif layer in CONTRACTS:
        assert tops <= CONTRACTS
    elif layer in GROUND:
        assert tops <= {*GROUND, "errors"}
    elif layer == "envs":
        assert not tops & {"agents", "cli"}
    elif layer == "agents":
        assert not tops & {"envs", "cli"}
    elif layer not in ("cli", "o1coder_gym", "__init__"):
        assert not tops & {"envs", "agents", "cli"}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_are_never_imported_at_the_top(name: str) -> None:
    top = {imported.split(".")[0] for imported in imports(MODULES[name], top_level_only=True)}
    lazily_imported_itself = name.startswith("policies.") or name in IMPORTED_WHERE_USED
    assert lazily_imported_itself or not top & HEAVY


@pytest.mark.parametrize("name", MODULES)
def test_rows_with_hidden_tests_stay_with_evaluation(name: str) -> None:
    reads_rows = {"problems.load_rows", "problems.load_problem_set"} & own(MODULES[name])
    assert not reads_rows or name.split(".")[0] in MAY_LOAD_HIDDEN_TESTS


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    program = "import sys, o1coder_gym; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run(
        [sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_only_the_package_is_importable_from_an_install(tmp_path: Path) -> None:
    program = "import importlib.util as u; print([n for n in ('agents', 'envs') if u.find_spec(n)])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_every_package_ships(tmp_path: Path) -> None:
    import tomllib

    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        "o1coder_gym" if name == "__init__" else f"o1coder_gym.{name}"
        for name, path in MODULES.items()
        if path.name == "__init__.py"
    }
    assert found == shipped
