"""The pages do what they say: their Python runs, their commands exist, their links lead somewhere."""

import importlib
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from o1coder_gym.experiments.suite import read_suite
from o1coder_gym.problems import load_rows
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.reporting.results import RESULTS, ResultRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.steps.choices import PROPOSAL_FEATURES, STATE_FEATURES
from o1coder_gym.types import Outcome, Usage

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), flags=re.M | re.S)


def run(page: str, sizes: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Runs all Python blocks of a page in one namespace and returns it; with other sizes where given."""
    namespace: dict[str, Any] = {"__name__": page}
    code = blocks(page, "python")
    for size, smaller in sizes.items():
        assert size in "".join(code)
        code = [block.replace(size, smaller) for block in code]
    for number, block in enumerate(code):
        exec(compile(block, f"{page}, block {number}", "exec"), namespace)
    return namespace


def test_getting_started_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("getting_started.md")
    assert (names["reward"], names["info"]["outcome"]) == (1.0, "pass")
    assert names["done"].result.value == 1.0
    assert names["done"].result.code == names["right"]


def test_the_reward_function_that_the_page_configures_is_one() -> None:
    (text,) = blocks("doors.md", "yaml")
    named = yaml.safe_load(text)["reward"]["custom_reward_function"]
    assert named["path"].startswith("pkg://")  # verl imports what follows
    reward = getattr(importlib.import_module(named["path"].removeprefix("pkg://")), named["name"])
    truth = json.dumps({"inputs": [[2]], "outputs": [4], "fn_name": "double"})
    assert reward("mine", "```python\ndef double(x):\n    return 2 * x\n```", truth)["score"] == 1.0


def test_an_adversary_parts_programs() -> None:
    names = run("adversary.md")
    assert names["found"].partition.classes == ((1, 2), (0,))
    (ruling,) = names["rulings"]
    assert (ruling.input, ruling.output) == ("[1]", "2")


@pytest.mark.slow
def test_reinforcement_learning_libraries_train_on_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = {
        "n_steps=32, batch_size=32": "n_steps=8, batch_size=8",
        "learn(32)": "learn(8)",
        "max_tokens=96": "max_tokens=16",
    }
    names = run("rl_libraries.md", sizes | {"range(16)": "range(4)"})
    assert names["ppo"].num_timesteps == 8
    assert names["episodes"].l.sum() <= 8
    assert Path("choice.pdf").read_bytes()[:5] == b"%PDF-"
    assert names["chosen"] in names["env"].action_space
    told = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split(":")[0] for line in told] == ["update 0", "update 1"]
    assert names["loss"].isfinite()


def test_the_doors_that_need_no_other_package_open(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("doors.md")
    assert names["found"].reward == 1.0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "1.0 pass False"
    assert told[1:] == ["1.0", "['wrong_answer', 'pass', 'wrong_answer', 'wrong_answer']", "1.0"]


def test_the_formulas_of_the_paper_hold() -> None:
    assert run("paper.md")["found"].rate == 0.5


def test_results_are_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunFolder.open("runs/first", {}) as folder:
        for agent, outcome in (("greedy", Outcome.WRONG_ANSWER), ("mcts", Outcome.PASS)):
            row = ResultRow("p", agent, 0, outcome, 0, 1, 0.0, "", 1, Usage(tokens=9))
            folder.append(RESULTS, row.to_row())
    assert run("benchmark.md")["comparison"].difference.mean == 1.0


def test_a_pool_answers_as_programs_are_judged(capsys: pytest.CaptureFixture[str]) -> None:
    run("scaling.md")
    assert sorted(capsys.readouterr().out.splitlines()) == ["0 wrong_answer", "1 pass", "2 wrong_answer"]


def test_tests_are_generated_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("tcg.md", {"[:4]": "[:2]", ", 20, ": ", 2, "})
    assert len(names["made"].tests) == 2
    assert [len(tests) for tests in names["tests"].values()] == [2, 2]
    assert Path("runs/tests.jsonl").read_text().count("\n") == 2


def test_problems_are_loaded_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("O1CODER_DATA", str(tmp_path))
    asserts = {"test_list": ["assert one() == 1"], "code": "def one():\n    return 1"}
    Path("mbpp").mkdir()
    Path("mbpp/mbpp.jsonl").write_text(json.dumps({"task_id": 11, "text": "One.", **asserts}))
    Path("my_problems.jsonl").write_text("".join(blocks("problems.md", "json")))
    names = run("problems.md")
    assert [problem.task_id for problem in names["problems"]] == ["Mbpp/11"]
    assert names["rows"][0].problem.task_id == "own/1"


def test_experiments_run_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("experiments.md")
    assert names["solved"] == {"greedy": False, "best_of_n:n=8": True}
    assert names["comparison"].difference.mean == 1.0
    assert [row.to_row() for row in names["again"]] == [row.to_row() for row in names["rows"]]
    assert len(names["data"].paths) == 1


SELF_PLAY = """
[run]
model = "tiny"
iterations = 1
samples = 1
dtype = "float32"
[problems]
set = "micro"
limit = 2
held_out_limit = 1
[synthesis]
agent = "mcts:simulations=1,width=1"
tokens = 64
tests = 0
[sft]
skip = true
[prm]
skip = true
[rl]
updates = 1
problems = 2
episodes = 2
rows_at_once = 4
max_tokens = 8
"""


@pytest.mark.slow
def test_training_is_called_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(SELF_PLAY)
    (code,) = blocks("experiments.md", "{code-block} python")
    sizes = {
        "qwen2.5-coder-0.5b": "tiny",
        "updates=50": "updates=1, problems=2, episodes=2, rows_at_once=4, max_tokens=8",
        "tests=16": "tests=0, max_steps=2",
        "rows[:60]": "rows[:2]",
        "rows[60:]": "rows[2:4]",
        "benchmarks/selfplay/tiny.toml": "small.toml",
    }
    for size, smaller in sizes.items():
        assert size in code
        code = code.replace(size, smaller)
    names: dict[str, Any] = {"load_rows": load_rows, "Path": Path}  # which the page has imported before
    with pytest.warns(UserWarning, match="no episode passed"):  # which so few can hardly do
        exec(compile(code, "experiments.md, training", "exec"), names)
    assert names["trained"].model.is_dir()
    assert Path(names["result"].learned.policy).is_dir()


def test_the_suite_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = blocks("benchmark.md", "yaml")
    (tmp_path / "suite.yaml").write_text(text)
    assert read_suite(tmp_path / "suite.yaml").tokens == (512, 1024, 2048)


def test_the_reference_of_commands_is_what_the_settings_say() -> None:
    spec = importlib.util.spec_from_file_location("commands_page", DOCS / "commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "commands.md").read_text() == module.page(), "run: python docs/commands.py"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")):
            assert (DOCS / target.partition("#")[0]).exists(), target


def test_the_menu_names_every_page_once() -> None:
    named = re.findall(r"^[a-z_]+$", (DOCS / "index.md").read_text(), flags=re.M)
    assert sorted(f"{name}.md" for name in named) == [page for page in PAGES if page != "index.md"]


def test_the_numbers_of_choices_are_named_on_the_page() -> None:
    page = (DOCS / "environments.md").read_text()
    for names in (STATE_FEATURES, PROPOSAL_FEATURES):
        assert ", ".join(f"`{name}`" for name in names) in " ".join(page.split())


def test_rows_of_the_problem_page_are_json() -> None:
    for block in blocks("problems.md", "json"):
        assert json.loads(block)["task_id"]


def test_a_format_of_one_s_own_is_made_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed, written, own = blocks("data_formats.md", "python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mbpp").mkdir()
    asserts = {"test_list": ["assert one() == 1"], "code": "def one():\n    return 1"}
    (tmp_path / "mbpp" / "mbpp.jsonl").write_text(json.dumps({"task_id": 700, "text": "One.", **asserts}))
    monkeypatch.setenv("O1CODER_DATA", str(tmp_path))
    exec(compile(written, "data_formats.md, verl", "exec"), {})
    assert load_rows("train.jsonl")[0].problem.task_id == "Mbpp/700"
    exec(streamed.replace("hf:open-r1/codeforces/verifiable:train", "train.jsonl"), names := {})
    assert names["row"].problem.task_id == "Mbpp/700"
    names = {}
    exec(compile(own, "data_formats.md, quiz", "exec"), names)
    raw = {"quiz": "Add.", "cases": [{"input": "1 2", "output": "3"}], "answer": "print(3)", "seconds": 2}
    row = names["QUIZ"].convert(raw, Origin("quiz", 0))
    assert (row.reference, row.problem.meta) == ("print(3)", {"cpu_s": 2.0})


def test_pandas_reads_runs_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    for agent, outcome in (("mcts", Outcome.PASS), ("greedy", Outcome.WRONG_ANSWER)):
        row = ResultRow("p/1", agent, 0, outcome, int(agent == "mcts"), 1, 0.0, "", 1, Usage(tokens=7))
        with RunFolder.open(tmp_path / "runs/first", {}, resume=True) as folder:
            folder.append(RESULTS, row.to_row())
    with RunFolder.open(tmp_path / "runs/rl", {}) as folder:
        folder.append("updates", *({"t": t, "episodes/pass_rate": 0.1 * t} for t in range(3)))
    names = run("reports.md")
    assert names["rows"].groupby("agent").solved.mean().to_dict() == {"greedy": 0.0, "mcts": 1.0}
    assert list(names["curve"].get_lines()[0].get_ydata()) == [0.0, 0.1, 0.2]
    pyplot.close("all")
