"""PPO on choices: it learns, saves, loads, resumes, and searches as an agent."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean, stdev

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.rl import choice_ppo
from o1coder_gym.agents.rl.choice_ppo import Training
from o1coder_gym.envs import ReasoningModel, conformance
from o1coder_gym.envs.interactions.choice import ChoiceInteraction, choice_interaction
from o1coder_gym.errors import (
    InfrastructureError,
    JournalError,
    O1CoderError,
    UnknownNameError,
    UsageError,
)
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.rewards import linear
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.runs.provenance import input_hashes
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Outcome, Problem, State, Verdict
from tests.command_line import call

pytestmark = pytest.mark.slow

PROGRAMS = {"double": "x * 2", "square": "x * x", "negate": "-x"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, str]:
    """Arguments of a Choice environment: three problems, and a policy that is right one time in eight."""
    folder: Path = tmp_path_factory.mktemp("world")
    rows, script = folder / "rows.jsonl", folder / "script.json"
    tests = {
        name: [[str([x]), str(eval(body, {"x": x}))] for x in (3, -5)] for name, body in PROGRAMS.items()
    }
    rows.write_text("".join(json.dumps(_row(name, tests[name])) + "\n" for name in PROGRAMS))
    script.write_text(json.dumps({"problems": {f"micro/{name}": _script(name) for name in PROGRAMS}}))
    return {"problems": str(rows), "policy": f"scripted:{script}"}


def _row(name: str, tests: list[list[str]]) -> dict:
    cases = [{"kind": "call", "args": args, "expected": expected} for args, expected in tests]
    return {
        "task_id": f"micro/{name}",
        "prompt": f"Return the {name} of x.",
        "entry_point": name,
        "public_tests": cases,
        "tests": cases,
        "reference": None,
        "meta": {},
    }


def _script(name: str) -> dict:
    wrong = [f"def {name}(x):\n    return {body}" for body in ("x", "x + 1", "None")]
    actions = [
        {"type": "define", "text": f"function {name}(x)", "weight": 3},
        {"type": "code", "text": f"def {name}(x):\n    return {PROGRAMS[name]}"},
        *({"type": "code", "text": code} for code in wrong),
        {"raw": "let me think"},
    ]
    return {"depths": [actions]}


def training(world: dict[str, str], **values) -> Training:
    return Training({**world, "k": 3, "max_steps": 4}, **{"steps": 768, "rollout": 32, **values})


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("trained")
    choice_ppo.train(training(world), folder)
    return folder


@pytest.fixture(scope="module")
def model(world) -> ReasoningModel:
    return ReasoningModel(load_problems(world["problems"]), default_judge(), max_steps=4)


def test_trained_choices_beat_random_ones(world, tmp_path) -> None:
    gains = []
    for seed in range(5):
        plan = training(world, seed=seed, algorithm=("maskable_ppo", "ppo")[seed % 2])
        chooser = choice_ppo.train(plan, tmp_path / str(seed))
        learned, random = (
            choice_ppo.evaluate(one, plan, episodes=100, seed=1000 * (seed + 1)) for one in (chooser, None)
        )
        gains.append(learned.success_rate - random.success_rate)
    # Student's 97.5 % quantile with 4 degrees of freedom is 2.776
    assert mean(gains) - 2.776 * stdev(gains) / math.sqrt(5) > 0.0, gains


def test_ends_are_judged_by_whoever_is_told_to(world, trained) -> None:
    ends: list[State] = []

    def solves(end: State) -> bool:
        ends.append(end)
        return end.code is not None

    plan = training(world)
    public = choice_ppo.evaluate(None, plan, episodes=20)
    committed = choice_ppo.evaluate(None, plan, episodes=20, solves=solves)
    assert committed.successes == sum(end.code is not None for end in ends) > public.successes
    assert (len(ends), committed.mean_return) == (20, public.mean_return)


def test_the_command_evaluates_on_held_out_problems_by_hidden_tests(world, tmp_path) -> None:
    rows = [json.loads(line) for line in Path(world["problems"]).read_text().splitlines()]
    parts = [{**row, "task_id": row["task_id"], "meta": {"split": "train"}} for row in rows[:2]]
    unfair = {"kind": "call", "args": "[1]", "expected": "'no program says this'"}
    parts += [{**rows[2], "tests": [unfair], "meta": {"split": "test"}}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in parts))
    words = ["--problems", tmp_path / "rows.jsonl", "--split", "train", "--held-out", "test"]
    words += ["--policy", world["policy"], "--steps", "64", "--rollout", "16", "--episodes", "12", "--json"]
    done = call("rl", "choice", *words, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["held_out"] == "test"
    assert [result[name]["successes"] for name in ("random", "learned")] == [0, 0]
    assert {row["task_id"] for row in read_rows(tmp_path / "run" / "evaluation.jsonl")} == {"micro/negate"}


def test_what_was_saved_chooses_alike(world, trained) -> None:
    plan = training(world)
    one, other = choice_ppo.load(trained), choice_ppo.load(str(trained))
    assert one.features == other.features
    assert one.features.k == 3
    assert choice_ppo.evaluate(one, plan, episodes=30) == choice_ppo.evaluate(other, plan, episodes=30)


def test_tensorboard_shows_the_success_rate(trained) -> None:
    (log,) = (trained / "tensorboard").iterdir()
    events = EventAccumulator(str(log)).Reload()
    rates = [event.value for event in events.Scalars("rollout/success_rate")]
    assert len(rates) == 6  # 768 steps, 4 × 32 an update
    assert all(0.0 <= rate <= 1.0 for rate in rates)


def test_training_resumes_where_it_stopped(world, tmp_path) -> None:
    seen: list[int] = []
    choice_ppo.train(training(world, steps=256), tmp_path)
    chooser = choice_ppo.train(
        training(world, steps=512), tmp_path, resume=True, on_progress=lambda steps, rate: seen.append(steps)
    )
    assert seen == [256, 384]
    assert chooser.ppo.num_timesteps == 512
    again = choice_ppo.train(training(world, steps=512), tmp_path, resume=True)
    assert again.ppo.num_timesteps == 512


def test_a_search_takes_the_weights_of_the_last_training(world, tmp_path, monkeypatch) -> None:
    loaded: list[int] = []

    def load(path: str) -> choice_ppo.Chooser:
        loaded.append((chooser := read(path)).ppo.num_timesteps)
        return chooser

    read = choice_ppo.load
    monkeypatch.setattr(choice_ppo, "load", load)
    for steps in (128, 256):
        choice_ppo.train(training(world, steps=steps), tmp_path, resume=True)
        for _ in range(2):
            next(choice_ppo.choice_ppo(Problem("p", ""), State("p"), path=str(tmp_path)))
    assert loaded == [128, 256]


def test_a_training_on_other_problems_of_the_same_name_is_refused(world, tmp_path) -> None:
    problems, begun = tmp_path / "rows.jsonl", Path(world["problems"]).read_text()
    problems.write_text(begun)
    own = {**world, "problems": str(problems)}
    choice_ppo.train(training(own, steps=96), tmp_path / "run")
    problems.write_text(begun.replace("Return the double", "Return twice"))
    for further in (training(own, steps=192), training(own, steps=96)):
        with pytest.raises(O1CoderError, match=r"holds a training with .*rows\.jsonl '"):
            choice_ppo.train(further, tmp_path / "run", resume=True)
    problems.write_text(begun)
    assert choice_ppo.train(training(own, steps=96), tmp_path / "run", resume=True).ppo.num_timesteps >= 96


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"learning_rate": 1e-4}, "learning_rate 0.001, not 0.0001"),
        ({"rollout": 16}, "rollout 32, not 16"),
        ({"algorithm": "ppo"}, "algorithm 'maskable_ppo', not 'ppo'"),
        ({"seed": 7}, "seed 0, not 7"),
        ({"env": {"k": 2}}, "k 3, not 2"),
        ({"env": {"reward": "process"}}, "reward None, not 'process'"),
    ],
)
def test_a_training_with_other_arguments_is_refused(world, trained, changed, told) -> None:
    before = (trained / "choice.json").read_bytes()
    plan = training(world, **{name: value for name, value in changed.items() if name != "env"})
    plan = replace(plan, env={**plan.env, **changed.get("env", {})})
    with pytest.raises(O1CoderError, match=f"holds a training with {told}"):
        choice_ppo.train(replace(plan, steps=1024), trained, resume=True)
    assert (trained / "choice.json").read_bytes() == before


def test_a_training_on_another_policy_of_the_same_name_is_refused(world, tmp_path) -> None:
    code = "from o1coder_gym.policies import load_policy\n\n\ndef make():\n"
    code += f"    return load_policy({world['policy']!r})\n"
    (tmp_path / "own.py").write_text(code)
    own = {**world, "policy": f"{tmp_path / 'own.py'}:make"}
    choice_ppo.train(training(own, steps=128), tmp_path / "run")
    choice_ppo.train(training(own, steps=256), tmp_path / "run", resume=True)
    (tmp_path / "own.py").write_text(code + "# changed\n")
    with pytest.raises(O1CoderError, match=r"holds a training with .*own\.py:make '"):
        choice_ppo.train(training(own, steps=384), tmp_path / "run", resume=True)
    told = json.loads((tmp_path / "run/choice.json").read_text())
    del told["inputs"], told["files"]  # as earlier versions wrote it
    (tmp_path / "run/choice.json").write_text(json.dumps(told))
    assert choice_ppo.train(training(own, steps=384), tmp_path / "run", resume=True).ppo.num_timesteps == 384


def test_alpha_follows_its_schedule(world, tmp_path, monkeypatch) -> None:
    alphas: list[float] = []

    def schedule(t: int) -> float:
        alphas.append(linear(t, start=1.0, end=0.5, horizon=2))
        return alphas[-1]

    plan = training({**world, "reward": "phi"}, steps=384)
    choice_ppo.train(plan, tmp_path, alpha=schedule)
    assert alphas == [1.0, 0.75, 0.5]
    alphas.clear()
    choice_ppo.train(replace(plan, steps=512), tmp_path, resume=True, alpha=schedule)
    assert alphas == [0.5]  # the clock goes on: t = 3, beyond the horizon


def test_a_resumed_training_plays_new_episodes(world, tmp_path) -> None:
    seeds: list[list[int]] = []

    class Watched(ChoiceInteraction):
        def begin(self, starts):
            seeds[-1].extend(seed for _, seed in starts)
            return super().begin(starts)

    def train(steps: int, resume: bool) -> None:
        seeds.append([])
        choice_ppo.train(training(world, steps=steps), tmp_path, resume=resume)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "o1coder_gym.envs.env.choice_interaction",
            lambda **arguments: Watched(
                **{
                    item.name: getattr(choice_interaction(**arguments), item.name)
                    for item in fields(ChoiceInteraction)
                }
            ),
        )
        train(128, resume=False)
        train(256, resume=True)
        train(384, resume=True)
    assert all(seeds)
    assert not set(seeds[0]) & set(seeds[1])
    assert not set(seeds[1]) & set(seeds[2])


@pytest.mark.filterwarnings("ignore:.*The reward is a NaN value")
def test_a_failed_judge_stops_the_training(world, tmp_path, monkeypatch) -> None:
    failure = Verdict(Outcome.INFRASTRUCTURE)
    monkeypatch.setattr(type(default_judge()), "evaluate", lambda self, items: [failure for _ in items])
    plan = Training({**world, "max_steps": 3}, rollout=32)
    with pytest.raises(InfrastructureError, match="a reward is missing"):
        choice_ppo.train(plan, tmp_path)


def test_it_searches_within_its_budget(world, model, trained) -> None:
    agent = choice_ppo.choice_ppo
    driver = Driver(model, load_policy(world["policy"]), seed=1)

    def search(problem, root):
        return agent(problem, root, path=str(trained))

    tasks = [
        Task(task_id, search, Budget(calls=calls), name=f"{calls}")
        for task_id in model.task_ids
        for calls in (2, 3, 12)
    ]
    results = driver.run(tasks)
    assert all(done.error is None and done.usage.calls <= int(done.task.name) for done in results)
    found = [done.result for done in results if done.result is not None and done.result.state is not None]
    assert found
    assert all(result.value == model.advance(_last(result))[0].reward for result in found)


def _last(result) -> list:
    state = State(result.state.problem_id, result.state.steps[:-1])
    return [(state, PSEUDOCODE.render(result.state.steps[-1], state.depth + 1))]


def test_it_conforms_as_an_agent(world, model, trained) -> None:
    def agent(problem, root):
        return choice_ppo.choice_ppo(problem, root, path=str(trained))

    conformance.check_agent(agent, model, load_policy(world["policy"]), task_ids=model.task_ids[:2])


def test_the_command_trains_compares_and_resumes(world, tmp_path) -> None:
    out = tmp_path / "run"
    options = ["choice", "--problems", world["problems"], "--policy", world["policy"], "--k", "3", "--json"]
    options += [
        "--max-steps",
        "4",
        "--rollout",
        "32",
        "--episodes",
        "20",
        "--reward",
        "phi",
        "--out",
        str(out),
    ]
    first = call("rl", *options, "--steps", "128", "--alpha", "linear:1,0.5,4")
    assert first.exit_code == 0, first.output
    row = json.loads(first.stdout)
    assert (row["steps"], row["learned"]["episodes"], row["out"]) == (128, 20, str(out))
    begun = input_hashes(f"choice_ppo?path={out}")
    again = call("rl", *options, "--steps", "256", "--alpha", "linear:1,0.5,4", "--resume")
    assert json.loads(again.stdout)["steps"] == 256
    assert len(begun) == 1
    assert input_hashes(*begun) != begun  # a benchmark of the shorter training does not go on with this one
    assert [row["steps"] for row in read_rows(out / "evaluations.jsonl")] == [128, 256]
    other = call("rl", *options, "--steps", "256", "--alpha", "0.1", "--resume")
    assert isinstance(other.exception, JournalError)


def test_bad_arguments_are_named(world, model, tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="maskable_ppo"):
        training(world, algorithm="dqn")
    with pytest.raises(UsageError, match="no trained chooser"):
        choice_ppo.load(tmp_path)
    root = model.initial("micro/double")
    for path in ("", str(tmp_path / "nothing")):
        with pytest.raises(UsageError, match="rl choice"):
            next(choice_ppo.choice_ppo(model.problem("micro/double"), root, path=path))
