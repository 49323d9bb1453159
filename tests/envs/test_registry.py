"""Every registered environment, because it is registered: checkers, conformance, specs, vectors."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from o1coder_gym.envs import ENVS, ReasoningVectorEnv, conformance
from o1coder_gym.problems import loading

IDS = sorted(env_id for env_id in gymnasium.registry if env_id.startswith("O1Coder/"))
BUNDLED = {
    "O1Coder/Starter-v0",
    "O1Coder/Micro-v0",
    "O1Coder/HumanEval-v0",
    "O1Coder/Code-v0",
    "O1Coder/SingleTurn-v0",
    "O1Coder/Choice-v0",
}

SCRIPT = {
    "problems": {
        "*": {
            "depths": [
                [
                    {"type": "define", "text": "return the input", "weight": 3},
                    {"type": "code", "text": "def solve(*values):\n    return values"},
                    {"raw": "no step at all"},
                ]
            ]
        }
    }
}
PROBLEM = {
    "task_id": "mine/1",
    "prompt": "Return the double of x.",
    "entry_point": "double",
    "public_tests": [{"kind": "call", "args": "[2]", "expected": "4"}],
    "tests": [{"kind": "call", "args": "[977]", "expected": "1954"}],
    "reference": None,
    "meta": {},
}


BASE = """
import sys
sys.modules.update(dict.fromkeys(["PIL", "torch", "transformers", "matplotlib", "httpx", "pandas", "trl"]))
import gymnasium, warnings
from gymnasium.utils.env_checker import check_env
import o1coder_gym
warnings.simplefilter("ignore")
env = gymnasium.make("O1Coder/Starter-v0")
check_env(env.unwrapped)
print(env.metadata["render_modes"])
"""
"""What a base install can do: nothing of the extras is there."""


def test_a_base_install_passes_the_checker() -> None:
    done = subprocess.run([sys.executable, "-c", BASE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "['ansi', 'human']"


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What an id needs beyond its defaults."""
    folder: Path = tmp_path_factory.mktemp("files")
    script, rows = folder / "script.json", folder / "rows.jsonl"
    script.write_text(json.dumps(SCRIPT))
    rows.write_text(json.dumps(PROBLEM) + "\n")
    return {
        "O1Coder/Code-v0": {"problems": str(rows)},
        "O1Coder/Choice-v0": {"proposer": f"scripted:{script}", "embedding": "hash:16"},
    }


@pytest.fixture(params=IDS)
def env_id(request) -> str:
    if request.param not in BUNDLED and "O1CODER_DATA" not in os.environ:
        pytest.skip("needs O1CODER_DATA")
    return request.param


def test_all_documented_ids_are_registered() -> None:
    assert set(ENVS) == set(IDS)
    assert len(IDS) == 10


def test_gymnasiums_checker_is_silent(env_id: str, arguments) -> None:
    env = gymnasium.make(env_id, **arguments.get(env_id, {}))
    check_env(env.unwrapped)
    env.close()


def test_it_conforms(env_id: str, arguments) -> None:
    conformance.check_environment(lambda: gymnasium.make(env_id, **arguments.get(env_id, {})))


def test_the_spec_goes_through_json(env_id: str, arguments) -> None:
    env = gymnasium.make(env_id, **arguments.get(env_id, {}), reward="phi", alpha=0.25)
    assert env.spec is not None
    twin = EnvSpec.from_json(env.spec.to_json()).make()
    assert twin.unwrapped.interaction == env.unwrapped.interaction  # pyright: ignore[reportAttributeAccessIssue]
    assert twin.reset(seed=3)[1] == env.reset(seed=3)[1]


def test_vectors_batch(env_id: str, arguments) -> None:
    env = gymnasium.make_vec(env_id, num_envs=2, **arguments.get(env_id, {}))
    assert isinstance(env, ReasoningVectorEnv)
    observation, info = env.reset(seed=0)
    assert observation in env.observation_space
    env.action_space.seed(0)
    assert env.step(env.action_space.sample())[0] in env.observation_space
    assert len(info["task_id"]) == 2


def test_stable_baselines_checker_is_silent(arguments) -> None:
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    from stable_baselines3.common.env_checker import check_env as check_sb3_env

    check_sb3_env(gymnasium.make("O1Coder/Choice-v0", **arguments["O1Coder/Choice-v0"]).unwrapped)


def test_making_an_environment_opens_nothing(monkeypatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise AssertionError("a constructor opened something")

    monkeypatch.setattr(loading, "load_problems", explode)
    for env_id in set(IDS) - {"O1Coder/Code-v0"}:
        gymnasium.make(env_id, max_steps=7).close()
        gymnasium.make_vec(env_id, num_envs=2, max_steps=7).close()


def test_importing_the_package_registers(tmp_path: Path) -> None:
    program = "import gymnasium; print(gymnasium.make('o1coder_gym:O1Coder/Starter-v0').spec.id)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "O1Coder/Starter-v0"
