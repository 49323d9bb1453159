"""The hand-written pages are easy to read: short lines, and no phrase that has to be translated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"api.md", "commands.md", "verdicts.md"}
PAGES = [
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED),
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks" / "README.md",
]
WIDTH = 100

CALQUES = (
    "anew",
    "asks nonsense",
    "became of",
    "by the book",
    "foreign value",
    "goes alone",
    "had judged",
    "held out of",
    "is paid 0",
    "it is asked",
    "lets itself",
    "lie in the package",
    "spoilt",
    "unasked",
    "whole wheel",
)
"""Phrases of these pages that native readers stumbled over."""


def prose(text: str) -> str:
    """The text without code blocks, code spans and tables; lines keep their numbers."""
    blank = re.compile(r"^```.*?^```$", flags=re.M | re.S)
    text = blank.sub(lambda found: "\n" * found[0].count("\n"), text)
    return re.sub(r"^\|.*$", "", text, flags=re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_prose_is_long(page: Path) -> None:
    lines = enumerate(prose(page.read_text()).splitlines(), start=1)
    assert [(number, len(line)) for number, line in lines if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_phrase_has_to_be_translated(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", prose(page.read_text()))
    words = " ".join(text.split())
    assert [phrase for phrase in CALQUES if phrase in words] == []
