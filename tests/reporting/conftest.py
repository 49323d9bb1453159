"""A way to open a page in a real browser and ask it questions."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OPENINGS = 3
"""On a busy machine the browser may tell what a page holds before its frames were drawn."""

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


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Opens a page from file:// in headless Chromium; runs `question`, a function body; returns its answer.

    Errors and warnings on the page's console fail the test.
    """
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome"))
    browser = next(filter(None, found), None)
    if browser is None:
        pytest.skip("needs Chromium on the PATH")

    def run(page: str, question: str) -> Any:
        file = tmp_path / "page.html"
        page = page.replace("<body>", "<body>" + CATCH, 1)
        file.write_text(page.replace("</body>", ANSWER.format(question=question) + "</body>", 1))
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"]
        for turn in range(OPENINGS):
            place = [f"--user-data-dir={tmp_path / f'browser{turn}'}", "--window-size=1280,800"]
            command = [browser, *options, *place, file.as_uri()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            if told := re.search(r'<output id="answer">(.*?)</output>', done.stdout, re.DOTALL):
                break
        else:
            pytest.fail("the page gave no answer")
        answer = json.loads(html.unescape(told[1]))
        assert answer["problems"] == []
        return answer["answer"]

    return run
