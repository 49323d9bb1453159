"""The house: floors of folders, rooms in a folder, no circles; read from the imports in the source."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _figures() -> ModuleType:
    """The script that counts the house: which floor a room is on is said there alone."""
    path = ROOT / "benchmarks" / "house_figures.py"
    spec = importlib.util.spec_from_file_location("house_figures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIGURES = _figures()
FLOOR = {name: height for height, floor in enumerate(FIGURES.FLOORS) for name in floor}
NEIGHBOURS = {frozenset(("envs", "agents"))}
"""On one floor, and yet strangers."""
ROOMS = 12

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
    "agents.rl.choice_ppo",
    "agents.rl.dpo",
    "agents.rl.grpo",
    "models.training.answers",
    "models.training.figures",
    "models.training.pairs",
    "models.training.progress",
    "prm.model",
    "prm.scorer",
    "prm.training.head",
    "prm.training.head_only",
    "prm.training.hidden_states",
    "prm.training.trainer",
}
MAY_LOAD_HIDDEN_TESTS = ("problems", "tcg", "experiments", "cli")
DOORS_THAT_EVALUATE = [f"adapters.{name}" for name in ("inspect_ai", "lm_eval", "lm_eval.utils", "samples")]
"""These get hidden tests from `adapters.evaluation`; doors that train do not."""


MODULES: dict[str, Path] = FIGURES.modules(ROOT)
"""Every module of the installed package by its dotted name below `o1coder_gym`; its own is ``""``."""
FOLDERS = sorted({path.parent for path in MODULES.values()} | {*(ROOT / "benchmarks").glob("**/")})


@cache
def imports(path: Path, *, top_level_only: bool = False) -> frozenset[str]:
    """Full names that a module imports (`from a.b import c` gives `a.b` and `a.b.c`)."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def own(path: Path) -> frozenset[str]:
    """The modules of this project that `path` imports, below `o1coder_gym`."""
    names = {name.removeprefix("o1coder_gym.") for name in imports(path)} & set(MODULES)
    packages = {package for name in names for package in names if name.startswith(f"{package}.")}
    return frozenset(names - packages)


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_point_downwards(name: str) -> None:
    room = name.split(".")[0]
    for imported in own(MODULES[name]):
        other = imported.split(".")[0]
        assert FLOOR[other] <= FLOOR[room], imported
        assert frozenset((room, other)) not in NEIGHBOURS, imported


def test_no_modules_import_each_other() -> None:
    below = {name: own(path) - {name} for name, path in MODULES.items() if name}
    while free := {name for name, needed in below.items() if not needed & set(below)}:
        below = {name: needed for name, needed in below.items() if name not in free}
    assert below == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_no_folder_has_more_than_twelve_rooms(folder: Path) -> None:
    rooms = {entry for entry in folder.iterdir() if entry.suffix == ".py" and entry.name != "__init__.py"}
    if folder != ROOT / "o1coder_gym":  # its folders are the floors
        rooms |= {entry for entry in folder.iterdir() if entry.is_dir() and entry.name != "__pycache__"}
    assert len(rooms) <= ROOMS


def test_tests_lie_where_the_tested_lies() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder.parts[:1] not in ((), ("docs",)):
            assert ".".join(folder.parts) in MODULES, path


@pytest.mark.parametrize("name", MODULES)
def test_options_are_read_by_the_command_line_alone(name: str) -> None:
    assert "cyclopts" not in imports(MODULES[name]) or name in ("cli.commands", "cli.main")


def test_experiments_print_nothing() -> None:
    for name, path in MODULES.items():
        if name.startswith("experiments"):
            assert not imports(path) & {"rich", "rich.console", "rich.progress"}, name
            assert "o1coder_gym.runs.progress" not in imports(path), name
            names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
            assert "print" not in names, name


KNOBS = {("agents.mcts", "mcts"), ("agents.mcts", "puct")}
"""Assemblies of strategies: the registry reads what a spec may say off their keyword-only parameters."""


@pytest.mark.parametrize("name", MODULES)
def test_no_function_takes_more_than_twelve_parameters(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (name, node.name) not in KNOBS:
            taken = node.args
            several = [taken.vararg, taken.kwarg]
            count = len([*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *filter(None, several)])
            assert count <= 12, node.name


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_are_never_imported_at_the_top(name: str) -> None:
    top = {imported.split(".")[0] for imported in imports(MODULES[name], top_level_only=True)}
    lazily_imported_itself = name.startswith("policies.") or name in IMPORTED_WHERE_USED
    assert lazily_imported_itself or not top & HEAVY


@pytest.mark.parametrize("name", MODULES)
def test_rows_with_hidden_tests_stay_with_those_who_judge_by_them(name: str) -> None:
    readers = {"o1coder_gym.problems.loading.load_rows", "o1coder_gym.problems.load_rows"}
    may = name.split(".")[0] in MAY_LOAD_HIDDEN_TESTS or name == "adapters.evaluation"
    assert may or not readers & imports(MODULES[name])
    evaluates = name.split(".")[0] != "adapters" or name in DOORS_THAT_EVALUATE
    assert evaluates or "adapters.evaluation" not in own(MODULES[name])


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


def test_every_package_ships() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        f"o1coder_gym.{name}".rstrip(".") for name, path in MODULES.items() if path.name == "__init__.py"
    }
    assert found == set(setuptools["packages"])
    for package, folder in setuptools["package-dir"].items():
        assert MODULES[package.removeprefix("o1coder_gym.")] == ROOT / folder / "__init__.py"


@pytest.mark.parametrize(
    ("source", "counted"),
    [
        ('"""Doc."""\n\nx = 1  # why\n# alone\n', (1, 2)),
        ('def f() -> int:\n    """Doc,\n\n    # no comment.\n    """\n    return 1\n', (2, 0)),
        ('x = (\n    1,\n\n    2,\n)\ny = "# none"  # noqa: X1\n', (5, 0)),
    ],
)
def test_comments_are_counted_beside_code(source: str, counted: tuple[int, int]) -> None:
    assert FIGURES.code_and_comments(source) == counted
