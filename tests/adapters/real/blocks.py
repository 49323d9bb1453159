"""The examples of docs/rl_libraries.md that `make test` does not run: their libraries are missing there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "rl_libraries.md"
MOST_LINES = 30


def played(heading: str) -> list[dict[str, Any]]:
    """Runs the blocks below a heading, each of at most 30 lines; returns the names that each left."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```{code-block} python\n(.*?)^```$", section, flags=re.M | re.S)
    found = []
    for number, block in enumerate(blocks, start=1):
        lines = [line for line in block.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, f"{heading} {number}: {len(lines)} lines"
        names: dict[str, Any] = {"__name__": f"example_{number}"}
        block = block.replace("max_tokens=96", "max_tokens=24")  # the library is tried here, not the model
        exec(compile(block, f"rl_libraries.md, {heading} {number}", "exec"), names)
        found.append(names)
    return found
