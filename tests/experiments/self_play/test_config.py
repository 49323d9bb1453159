"""The configuration of self-play: what is wrong is named, with its place."""

from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.self_play.config import read_config

LEAST = '[run]\nmodel = "m"\n[problems]\nset = "p"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "loop.toml"
    path.write_text(text)
    return path


def test_sections_become_settings_and_stages_may_be_skipped(tmp_path: Path) -> None:
    plan = read_config(write(tmp_path, LEAST))
    assert isinstance(plan.rl, RLSettings)
    assert plan.sft is not None
    assert plan.objective == "soft"
    text = (
        LEAST
        + '[sft]\nskip = true\n[prm]\nobjective = "hard"\nepochs = 1\n[rl]\nmethod = "dpo"\nbeta = 0.3\n'
    )
    plan = read_config(write(tmp_path, text), seed=7)
    assert plan.sft is None
    assert isinstance(plan.rl, DPOSettings)
    assert (plan.rl.beta, plan.objective, plan.run.seed) == (0.3, "hard", 7)
    assert plan.to_row()["rl"]["beta"] == 0.3


def test_a_run_of_an_earlier_version_has_the_same_configuration(tmp_path: Path) -> None:
    row = read_config(write(tmp_path, LEAST)).to_row()
    # as revision 268bfca wrote it
    assert set(row["synthesis"]) == {
        "agent", "tokens", "generator", "tests", "problems", "scored", "margin", "validation",
    }  # fmt: skip
    assert set(row["rl"]) == {
        "credit", "updates", "problems", "episodes", "iterations", "rows_at_once", "learning_rate", "beta",
        "clip", "alpha", "gamma", "tau_pass", "tau_fail", "fractional", "lora_rank", "temperature",
        "max_tokens", "save_every", "validate_every", "dtype", "seed",
    }  # fmt: skip
    told = read_config(write(tmp_path, LEAST + "[synthesis]\nrollouts = 8\ncredit_kept = true\n")).to_row()
    assert (told["synthesis"]["rollouts"], told["synthesis"]["credit_kept"]) == (8, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LEAST + "[rum]\n", "unknown section of .*loop.toml 'rum'"),
        (LEAST.replace("model", "modl"), r"unknown key in .*loop.toml, \[run\] 'modl'; did you mean 'model'"),
        (LEAST + "[rl]\nupdates = 0\n", r"\[rl\]: updates must be at least 1, got 0"),
        (LEAST + '[rl]\nupdates = "many"\n', r"\[rl\]: updates must be a whole number, got 'many'"),
        (LEAST + '[rl]\nmethod = "ppo"\n', r"unknown method in \[rl\]"),
        (LEAST + "[sft]\nlora_rank = true\n", r"\[sft\]: lora_rank must be a whole number"),
        ("[run]\n", r"\[run\]: .*model"),
        ("run", "loop.toml: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_config(write(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_config(tmp_path / "none.toml")


def test_template_arguments_of_a_run_reach_all_of_its_trainings(tmp_path: Path) -> None:
    text = LEAST.replace("[problems]", "template_arguments = {enable_thinking = false}\n[problems]")
    text += '[rl]\ntemplate_arguments = {date = "1 May"}\n'
    plan = read_config(write(tmp_path, text))
    told = plan.told()
    assert told.sft is not None
    assert told.rl is not None
    assert dict(told.sft.template_arguments or {}) == {"enable_thinking": False}
    assert dict(told.rl.template_arguments or {}) == {"date": "1 May"}
    assert plan.to_row()["run"]["template_arguments"] == {"enable_thinking": False}
    assert "template_arguments" not in str(read_config(write(tmp_path, LEAST)).to_row())


def test_a_run_goes_on_with_servers_at_other_addresses(tmp_path: Path) -> None:
    one, other = (
        read_config(write(tmp_path, f'{LEAST}[rl]\nsampler = "openai:http://{host}:1/v1"\n')).to_row()
        for host in ("a", "b")
    )
    assert one == other
    assert one["rl"]["sampler"] == "openai"


def test_expert_iteration_is_no_part_of_runs_begun_before_it(tmp_path: Path) -> None:
    assert "expert" not in read_config(write(tmp_path, LEAST)).to_row()["run"]
    plan = read_config(write(tmp_path, LEAST.replace("[problems]", "expert = true\n[problems]")))
    assert plan.to_row()["run"]["expert"] is True
