"""Counts the house: files, rooms, edges between folders, circles, upward imports, lines, share of comments.

    python benchmarks/house_figures.py [FOLDER …]

Each FOLDER is a tree of the project, of any version; a table has a column for each. All imports count, those
inside functions and under TYPE_CHECKING too. Rooms are files and subfolders, ``__init__.py`` left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

FLOORS = (
    {"types", "errors", "specs", "settings", "importing", "data"},
    {"protocols", "queries", "rewards", "metrics"},
    {"runs", "steps", "sandbox"},
    {"problems", "models"},
    {"policies", "process_data"},
    {"prm", "tcg", "reporting"},
    {"envs", "agents"},
    {"experiments", "adapters"},
    {"cli"},
    {"__main__"},
)
"""Lowest first: what is on one imports from its own and those below; `tests/test_layers.py` holds to it."""
LATER = {"specs", "settings", "adapters", "importing", "data", "__main__"}
"""Rooms that the plan of 20 rooms did not have when it said how few imports between rooms are to be."""
FLOORS_BEFORE = ({"types"}, {"protocols", "queries", "errors"}, set(), {"envs", "agents"}, {"cli"})
"""Of trees without `experiments`; what is not named is on the floor in the middle."""


def modules(root: Path) -> dict[str, Path]:
    """The modules by dotted name below `o1coder_gym`."""
    found = {}
    for folder, prefix in (("o1coder_gym", ()), ("agents", ("agents",)), ("envs", ("envs",))):
        for path in (root / folder).rglob("*.py"):
            relative = path.relative_to(root / folder)
            if not prefix and relative.parts[0] in ("agents", "envs"):  # links
                continue
            parts = (*prefix, *relative.with_suffix("").parts)
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yields the modules that a file imports: of `from a import b` a.b if that is one, else a."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("o1coder_gym."):
            module = str(node.module).removeprefix("o1coder_gym").removeprefix(".")
            for alias in node.names:
                full = f"{module}.{alias.name}".removeprefix(".")
                package = module in known and known[module].name == "__init__.py"
                yield (
                    full if full in known and not (package and _shows(known[module], alias.name)) else module
                )


def _shows(package: Path, name: str) -> bool:
    """Whether a package's own namespace has a name."""
    nodes = ast.walk(ast.parse(package.read_text()))
    return any(
        (alias.asname or alias.name) == name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


def circles(below: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in below.get(name, ()):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in below:
        if name not in order:
            visit(name)
    return found


def figures(root: Path) -> dict[str, str]:
    """Returns what is printed of a tree."""
    known = modules(root)
    below = {name: {*imported(path, known)} - {name} for name, path in known.items()}
    floors = FLOORS if "experiments" in known else FLOORS_BEFORE
    middle = FLOORS_BEFORE.index(set())
    height = {name: number for number, floor in enumerate(floors) for name in floor}

    def floor(name: str) -> int:
        return height.get(name.split(".")[0], middle)

    edges = {(a, b) for a, others in below.items() for b in others if a and b}
    tops = {(a.split(".")[0], b.split(".")[0]) for a, b in edges}
    upward = [(a, b) for a, b in edges if floor(b) > floor(a)]
    folders = {(a.rpartition(".")[0], b.rpartition(".")[0]) for a, b in edges}
    rooms = Counter()
    for folder in {path.parent for path in known.values()}:
        entries = [e for e in folder.iterdir() if e.name not in ("__init__.py", "__pycache__")]
        rooms[folder.relative_to(root).as_posix()] = sum(e.is_dir() or e.suffix == ".py" for e in entries)
    top = rooms.pop("o1coder_gym")
    top_modules = sum(not name.count(".") and path.name != "__init__.py" for name, path in known.items())
    lines = {name: path.read_text().count("\n") for name, path in known.items()}
    return {
        "files": str(len(known)),
        "lines of source": f"{sum(lines.values()):,}",
        "lines a file, median and most": f"{statistics.median(lines.values()):.0f}, {max(lines.values())}",
        "folders": str(len(rooms) + 1),
        "rooms of o1coder_gym itself": f"{top}, of which {top_modules} modules",
        "fullest folders below it": ", ".join(f"{name} {count}" for name, count in rooms.most_common(4)),
        "imports between modules": str(len(edges)),
        "imports between top rooms": str(len([1 for a, b in tops if a != b])),
        "of them to and from later rooms": str(len([1 for a, b in tops if a != b and {a, b} & LATER])),
        "imports between folders": str(len([1 for a, b in folders if a != b])),
        "circles": "; ".join(" ↔ ".join(group) for group in circles(below)) or "0",
        "upward imports": "; ".join(f"{a} → {b}" for a, b in sorted(upward)) or "0",
    }


LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
FOR_TOOLS = ("# noqa", "# type:", "# pyright:", "# pragma:")
"""Beginnings of comments that no reader needs."""


def code_and_comments(source: str) -> tuple[int, int]:
    """Counts lines of code without docstrings, and lines with a comment for readers, alone or behind code."""
    docs: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code: set[int] = set()
    comments = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += not token.string.startswith(FOR_TOOLS)
        elif token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docs), comments


def comment_shares(root: Path) -> dict[str, float]:
    """Comment lines per hundred lines of code by folder, and of the whole tree."""
    code, comments = Counter[str](), Counter[str]()
    for path in modules(root).values():
        for folder in (path.parent.relative_to(root).as_posix(), "all of it"):
            lines, remarks = code_and_comments(path.read_text())
            code[folder] += lines
            comments[folder] += remarks
    return {folder: 100 * comments[folder] / count for folder, count in code.items() if count}


def main() -> None:
    """Prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    folders = parser.parse_args().folders
    columns = [figures(folder) for folder in folders]
    for name in columns[0]:
        print(f"{name:34}", "   |   ".join(column[name] for column in columns))
    print("\ncomment lines per hundred lines of code")
    shares = [comment_shares(folder) for folder in folders]
    for name in sorted({name for column in shares for name in column}):
        print(f"{name:44}", *(f"{column[name]:6.1f}" if name in column else f"{'':6}" for column in shares))


if __name__ == "__main__":
    main()
