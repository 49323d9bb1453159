"""A way to open pages in a real browser and ask them questions."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.browser import Browser

Ask = Callable[[str, str], Any]

CATCH = """<script>
window.problems = [];
addEventListener("error", (event) => problems.push(event.message));
for (const kind of ["error", "warn"]) console[kind] = (...words) => problems.push(words.join(" "));
</script>"""
ANSWER = """<script>
(async () => {{
  const answer = await (async () => {{ {question} }})();
  document.body.append(Object.assign(document.createElement("output"), {{
    id: "answer", textContent: JSON.stringify({{answer, problems}}),
  }}));
}})();
</script>"""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium for all pages."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome"))
    program = next(filter(None, found), None)
    if program is None:
        pytest.skip("needs Chromium on the PATH")
    with contextlib.closing(Browser(program, tmp_path_factory.mktemp("browser"))) as browser:
        yield browser


@pytest.fixture
def ask(browser: Browser, tmp_path: Path) -> Ask:
    """Opens a page from file://; runs `question`, a function body; returns its answer.

    Errors and warnings on the page's console fail the test.
    """

    def run(page: str, question: str) -> Any:
        file = tmp_path / "page.html"
        page = page.replace("<body>", "<body>" + CATCH, 1)
        file.write_text(page.replace("</body>", ANSWER.format(question=question) + "</body>", 1))
        answer = json.loads(browser.text_of(file.as_uri(), "answer"))
        assert answer["problems"] == []
        return answer["answer"]

    return run
