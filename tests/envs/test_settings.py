"""What environments are made of: names become handles, once a process, and only when needed."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import gymnasium
import pytest

from o1coder_gym.envs.settings import Settings, SharedJudge, _shared_process, shared_model
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.prm import load_scorer
from o1coder_gym.types.protocols import Judge

PLAN = "### Step 1 (define)\nplan\n"


@pytest.fixture
def scorers(tmp_path: Path, monkeypatch) -> str:
    """A module with a scorer, and one thing that is none."""
    (tmp_path / "my_scorers.py").write_text(
        "class ByDepth:\n"
        "    def score(self, items, /):\n"
        "        return [0.5 ** state.depth for _, state in items]\n"
        "def number():\n"
        "    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_scorers"


def test_a_scorer_is_named_by_its_factory(scorers: str) -> None:
    env = gymnasium.make("O1Coder/Starter-v0", scorer=f"{scorers}:ByDepth", reward="process")
    env.reset(seed=0)
    assert [env.step(PLAN)[1] for _ in range(2)] == [0.5, 0.25]
    info = env.step(PLAN)[4]
    assert (info["prm"], info["reward_terms"]["process"]) == (0.125, 0.125)


def test_objects_do_as_well_as_names(toy) -> None:
    env = gymnasium.make("O1Coder/Starter-v0", scorer=toy.scorer, reward="process")
    env.reset(seed=0)
    assert [env.step(PLAN)[1] for _ in range(2)] == [1 / 2, 1 / 3]  # 1 / (1 + depth)
    for name in ("proposer", "policy"):
        choice = gymnasium.make("O1Coder/Choice-v0", problems="starter", k=3, **{name: toy.policy})
        proposals = choice.reset(seed=0)[1]["proposals"]
        assert len(proposals) == 3
        assert {*proposals} <= {*toy.actions}


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_an_unknown_argument_is_named(make: Callable[..., object]) -> None:
    told = "^unknown environment argument 'nonsense'; known: alpha, .*, observation_format, .*, tests$"
    with pytest.raises(UnknownNameError, match=told):
        make("O1Coder/Starter-v0", nonsense=1)
    told = "^unknown environment argument 'propser'; did you mean 'proposer'. Known: .*, k, .*, top_p$"
    with pytest.raises(UnknownNameError, match=told):
        make("O1Coder/Choice-v0", propser="fake")


def test_what_makes_no_scorer_is_named(scorers: str) -> None:
    for spec in ("nowhere:thing", f"{scorers}:nothing", "not a spec at all"):
        with pytest.raises(UsageError, match="importable"):
            load_scorer(spec)
    with pytest.raises(UsageError, match="no score method"):
        load_scorer(f"{scorers}:number")


def test_equal_settings_share_a_model_and_unlike_rewards_its_caches() -> None:
    plain, weighted = Settings("starter"), Settings("starter", alpha_compile=0.5)
    assert shared_model(plain) is shared_model(Settings("starter"))
    one, other = shared_model(plain), shared_model(weighted)
    program = "### Step 1 (code)\n```python\ndef count_vowel_words(text):\n    return 0\n```\n"
    root = one.initial("starter/001-vowel-words")
    (half,), (more,) = one.advance([(root, program)]), other.advance([(root, program)])
    assert half.verdict is more.verdict
    assert (half.reward, more.reward) == (0.5, 0.75)


def test_an_unknown_set_is_named_at_the_first_reset() -> None:
    env = gymnasium.make("O1Coder/Code-v0", problems="no-such-set")
    with pytest.raises(UnknownNameError, match="no-such-set"):
        env.reset(seed=0)
    with pytest.raises(UsageError, match="problems="):
        gymnasium.make("O1Coder/Code-v0")


def test_environments_pickle_in_the_middle_of_an_episode() -> None:
    env = gymnasium.make("O1Coder/Starter-v0", max_episode_steps=3)
    env.reset(seed=2)
    env.step(PLAN)
    twin = pickle.loads(pickle.dumps(env))
    assert twin.step(PLAN)[4] == env.step(PLAN)[4]
    assert twin.step(PLAN)[3] is env.step(PLAN)[3] is True
    assert twin.reset()[1] == env.reset()[1]


def test_the_shared_judge_is_a_value() -> None:
    assert isinstance(pickle.loads(pickle.dumps(SharedJudge())), Judge)


def test_generated_tests_are_made_once_and_judged_after_the_public_ones(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("O1CODER_CACHE", str(tmp_path / "cache"))
    row = {"task_id": "mine/double", "prompt": "Return twice x.", "entry_point": "double", "meta": {}}
    row |= {"public_tests": [{"kind": "call", "args": "[2]", "expected": "4"}]}
    row |= {"tests": [{"kind": "call", "args": "[977]", "expected": "1954"}]}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row | {"reference": "def double(x):\n    return 2 * x"}) + "\n")
    square = "### Step 1 (code)\n```python\ndef double(x):\n    return x * x\n```\n"
    infos = {}
    for tests in ("public", "generated"):
        env = gymnasium.make("O1Coder/Code-v0", problems=str(rows), tests=tests)
        env.reset(seed=0)
        infos[tests] = env.step(square)[4]
    # 2 * 2 is twice 2: only the generated tests, made by running the reference, tell the two apart
    assert infos["public"]["is_success"]
    assert not infos["generated"]["is_success"]
    assert infos["generated"]["total"] > 5
    assert "1 of 1 public tests passed." in infos["generated"]["feedback"]
    (kept,) = (tmp_path / "cache" / "tests").glob("*.jsonl")
    before = kept.read_text()
    assert "977" not in before
    _shared_process.cache_clear()
    env = gymnasium.make("O1Coder/Code-v0", problems=str(rows), tests="generated")
    assert env.reset(seed=0)[1]["task_id"] == "mine/double"
    assert kept.read_text() == before


def test_tests_of_another_kind_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown tests 'hidden'; known: generated, public"):
        gymnasium.make("O1Coder/Starter-v0", tests="hidden")


def test_an_environment_plays_what_a_file_holds_when_it_is_made(tmp_path: Path) -> None:
    rows, script = tmp_path / "rows.jsonl", tmp_path / "script.json"
    row = {"prompt": "Return twice x.", "entry_point": "double", "public_tests": [], "tests": []}

    def write(name: str) -> None:
        rows.write_text(json.dumps({"task_id": f"mine/{name}", **row}) + "\n")
        action = {"type": "define", "text": f"plan of {name}"}
        script.write_text(json.dumps({"problems": {"*": {"depths": [[action]]}}}))

    def made() -> gymnasium.Env:
        return gymnasium.make(
            "O1Coder/Choice-v0",
            problems=str(rows),
            policy=f"scripted:{script}",
            k=1,
            disable_env_checker=True,
        )

    write("first")
    before = made()
    assert before.reset(seed=0)[1]["task_id"] == "mine/first"
    write("second one")
    before.unwrapped.set_alpha(0.2)  # pyright: ignore[reportAttributeAccessIssue]
    for env, name in ((before, "first"), (made(), "second one"), (before, "first")):
        info = env.reset(seed=0)[1]
        assert info["task_id"] == f"mine/{name}"
        assert f"plan of {name}" in info["proposals"][0]
