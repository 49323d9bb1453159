"""How soon the page of a search tree can be used, in headless Chromium.

    python benchmarks/speed/pages/tree_page_speed.py [--nodes 2000] [--rounds 5]

Prints the milliseconds from opening the file to the first drawing that answers the mouse, and those that one
redrawing takes, at 1280 × 800 pixels.
"""

from __future__ import annotations

import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.reporting.pages.tree_page import tree_page
from o1coder_gym.settings import AtLeastOne, Checked, Range
from o1coder_gym.types import ActionType, Problem, Step

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DRAW = """<script>
const begun = performance.now();
for (let i = 0; i < 20; i += 1) view.panes[0].draw();
document.documentElement.dataset.drawn = (performance.now() - begun) / 20;
</script></body>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings(Checked):
    """Page.

    Attributes:
        nodes: Of the tree.
        rounds: How often the page is opened.
    """

    nodes: Annotated[int, Range(2)] = 2000
    rounds: AtLeastOne = 5


def main(settings: PageSettings) -> None:
    """Open the page of a random tree several times."""
    nodes, rounds = settings.nodes, settings.rounds
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("needs Chromium on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tree.html"
        file.write_text(tree_page([random_tree(nodes)]).replace("</body>", DRAW, 1))
        found = [opened(browser, file, Path(folder) / f"profile{turn}") for turn in range(rounds)]
    for title, values in zip(("ready", "one redrawing"), zip(*found, strict=True), strict=True):
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"{title}: {statistics.median(values):.1f} ms ({spread}, {nodes} nodes, {rounds} rounds)")


def opened(browser: str, file: Path, profile: Path) -> tuple[float, float]:
    """Opens a page in a fresh browser; returns the milliseconds until it was ready, and of a redrawing."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--window-size=1280,800"]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={profile}", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ready, drawn = (re.search(rf'data-{name}="([\d.]+)"', done.stdout) for name in ("ready", "drawn"))
    if ready is None or drawn is None:
        raise SystemExit(f"the page did not come up: {done.stderr[-500:]}")
    return float(ready[1]), float(drawn[1])


def random_tree(count: int, seed: int = 0) -> SearchTree:
    """A tree in which each node hangs below one of the 300 before it."""
    draw = random.Random(seed)
    nodes = [TreeNode(None, None)]
    for number in range(1, count):
        step = Step(ActionType.REFINE, f"step {number} of a search")
        parent = draw.randrange(max(0, number - 300), number)
        nodes.append(TreeNode(parent, step, born=number, visits=1, value=draw.random()))
    problem = Problem("random/1", "A random tree.", "f")
    return SearchTree(problem, "random", seed, "pseudocode", tuple(nodes))


if __name__ == "__main__":
    sys.exit(main_of(command(PageSettings, main, name="tree_page_speed")))
