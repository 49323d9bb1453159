"""What a policy does by itself, counted by hand on a script."""

import json
from pathlib import Path

import pytest

from o1coder_gym.experiments.measures.held_out import compared, policy_quality
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.sandbox import default_judge

RIGHT = {"type": "code", "text": "def double(x):\n    return 2 * x"}
SCRIPT = {
    "problems": {
        "toy/double": [{"type": "define", "text": "Double it.", "then": [RIGHT]}],
        "toy/square": [
            {"raw": "no step", "then": [{"type": "code", "text": "def square(x):\n    return 4"}]}
        ],
    }
}


def test_quality_by_hand(problems: Path, tmp_path: Path) -> None:
    script = tmp_path / "policy.json"
    script.write_text(json.dumps(SCRIPT))
    quality = policy_quality(
        load_policy(f"scripted:{script}"), load_rows(problems).rows, default_judge(), format="pseudocode"
    )
    assert quality.solved == {"toy/double": 1.0, "toy/square": 0.0}
    assert quality.compliance == 3 / 4  # define, code; malformed, code
    assert (quality.committed, quality.steps) == (1.0, 2.0)
    row = compared(quality, quality)
    assert (row["before"]["pass@1"], row["difference"], row["interval"]) == (
        0.5,
        0.0,
        pytest.approx([-0.693, 0.693], abs=1e-3),
    )
    assert row["after"]["interval"][0] < 0.5 < row["after"]["interval"][1]


def test_a_policy_that_commits_nothing(problems: Path, tmp_path: Path) -> None:
    script = tmp_path / "policy.json"
    script.write_text(json.dumps({"problems": {"*": [{"type": "define", "text": "Hm."}]}}))
    quality = policy_quality(
        load_policy(f"scripted:{script}"),
        load_rows(problems).rows,
        default_judge(),
        format="pseudocode",
        max_steps=1,
    )
    assert (quality.committed, sum(quality.solved.values())) == (0.0, 0.0)
    assert quality.to_row()["steps"] is None
    assert quality.steps != pytest.approx(0.0)
