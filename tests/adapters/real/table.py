"""Writes what was tried with which versions, a row a group of doors, into a table of Markdown.

python table.py TABLE GROUP JUNIT_FILE PACKAGE …
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

HEAD = "| door | with | passed | failed | skipped | seconds |\n|---|---|---|---|---|---|\n"


def row(group: str, report: Path, packages: list[str]) -> str:
    """Returns a row: those packages whose version is pinned, and the counts of pytest's report."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    bad = count["failures"] + count["errors"]
    pinned = (re.split(r"[\[=]", package)[0] for package in packages if "==" in package)
    named = ", ".join(f"{name} {version(name)}" for name in pinned)
    passed, seconds = count["tests"] - bad - count["skipped"], float(suite.get("time", 0))
    return f"| {group} | {named} | {passed} | {bad} | {count['skipped']} | {seconds:.0f} |\n"


def main(table: Path, group: str, report: Path, packages: list[str]) -> None:
    """Writes the row of a group in place of its earlier one."""
    old = table.read_text().splitlines(keepends=True)[2:] if table.exists() else []
    kept = [line for line in old if not line.startswith(f"| {group} |")]
    table.write_text(HEAD + "".join([*kept, row(group, report, packages)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
