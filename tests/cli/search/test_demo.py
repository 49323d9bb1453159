"""`o1coder demo`: what a stranger sees in the first minutes, without a download."""

import json
from pathlib import Path

import pytest

from o1coder_gym.reporting.results import read_results
from tests.command_line import Done, call

pytest.importorskip("torch")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Done, Path]:
    """The demo on eight problems, as a log sees it, and its folder."""
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setenv("HOME", str(out.parent))
        done = call("demo", "--limit", 8, "--json", "--out", out)
    assert done.exit_code == 0, done.stderr
    return done, out


def test_a_log_of_the_demo_fits_eighty_columns_and_names_what_is_next(shown) -> None:
    done, out = shown
    lines = [line for line in done.stderr.splitlines() if str(out) not in line]
    assert max(map(len, lines)) <= 80
    for told in ("One problem that greedy decoding fails", "MCTS chose by the examples alone", "What next"):
        assert told in done.stderr
    assert "o1coder demo --model qwen2.5-coder-0.5b" in done.stderr
    assert "best_of_n 8/8" in " ".join(done.stderr.split())


def test_all_agents_but_greedy_spend_the_budget(shown) -> None:
    rows = read_results(shown[1] / "agents")
    names = {row.agent.partition(":")[0] for row in rows} - {"oracle"}
    assert names == {"greedy", "best_of_n_random", "best_of_n", "mcts", "puct"}
    for name in names - {"greedy"}:
        spent = [row.usage.tokens / 256 for row in rows if row.agent.partition(":")[0] == name]
        assert sum(spent) / len(spent) > 0.85, name


def test_what_is_told_is_what_was_measured(shown) -> None:
    done, out = shown
    told = json.loads(done.stdout.splitlines()[-1])
    rows = read_results(out / "agents")
    greedy = [row for row in rows if row.agent.startswith("greedy")]
    assert told["self_play"]["greedy"]["before"] == sum(row.solved for row in greedy)
    failed = [row.task_id for row in greedy if not row.solved]
    assert told["shown"]["task_id"] in failed
    assert len(told["sentences"]) == 4


def test_pages_are_where_the_demo_says(shown) -> None:
    done, out = shown
    assert (out / "agents/report.html").is_file()
    page = next(line.split()[-1] for line in done.stderr.splitlines() if "the search trees" in line)
    assert Path(page).is_file()


def test_a_finished_demo_resumes_to_itself(shown) -> None:
    _, out = shown
    before = (out / "agents/results.jsonl").read_bytes()
    assert call("demo", "--limit", 8, "--out", out, "--resume").exit_code == 0
    assert (out / "agents/results.jsonl").read_bytes() == before


def test_a_model_writes_directly_and_in_steps_side_by_side(o1coder, tmp_path) -> None:
    done = o1coder("demo", "--policy", "fake:step_s=0&depth=3", "--json", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "direct answer" in done.stderr
    assert "in steps" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["solved"]) == {
        "vanilla best_of_n:n=64",
        "pseudocode best_of_n:n=64",
        "pseudocode mcts:simulations=64",
    }
    for rows in (read_results(tmp_path / "run" / format) for format in ("vanilla", "pseudocode")):
        assert all(row.usage.calls >= 8 for row in rows)


def test_model_and_policy_are_one_choice(o1coder) -> None:
    done = o1coder("demo", "--model", "a", "--policy", "hf:b")
    assert done.returncode == 2
    assert "give one of them" in done.stderr
