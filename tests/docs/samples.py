"""The samples of the README and the pages: their blocks, and the commands of those for a shell."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```$", flags=re.M | re.S)
NEWLINE = "\N{SYMBOL FOR NEWLINE}"
"""Stands for a line's end in a quoted word."""


@dataclass(frozen=True)
class Block:
    """A fenced block: the name of its page, its language, its text."""

    page: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a block: its program, the words after it, and the variables set before it."""

    program: str
    words: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> list[str] | None:
        """The words of `o1coder` in it, which may be started by another program; None if there are none."""
        if self.program == "o1coder":
            return self.words
        if "o1coder_gym" in self.words[1:] and self.words[self.words.index("o1coder_gym") - 1] == "-m":
            return self.words[self.words.index("o1coder_gym") + 1 :]
        return None


BLOCKS = [Block(page.name, *found) for page in PAGES for found in FENCE.findall(page.read_text())]
SHELL = [block for block in BLOCKS if block.language == "sh"]


def commands(text: str) -> Iterator[Command]:
    """Yields the commands of a block, in order."""
    text = re.sub(r"(^|\s)#.*$", "", text.replace("\\\n", " "), flags=re.M)
    text = re.sub(r'"[^"]*"|\'[^\']*\'', lambda found: found[0].replace("\n", NEWLINE), text)
    for line in text.splitlines():
        words = shlex.split(line)
        for part in " ".join(map(shlex.quote, words)).replace("'&&'", "&&").split(" && "):
            found, variables = shlex.split(part), {}
            while found and re.match(r"[A-Z_0-9]+=", found[0]):
                name, _, variables[name] = found.pop(0).partition("=")
            if found:
                yield Command(found[0], found[1:], variables)
