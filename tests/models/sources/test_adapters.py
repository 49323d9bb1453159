"""Adapters of this package: found by their cards, merged once into the cache, loaded by name."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError, WeightsError
from o1coder_gym.models.lookup import find_model, model_path, parameter_count
from o1coder_gym.models.sources import adapters
from o1coder_gym.models.sources.adapters import shipped_adapters, shipped_prm
from tests.command_line import call

peft = pytest.importorskip("peft")
torch = pytest.importorskip("torch")

TINY = 1_472_512
CARD = {
    "title": "the tiny model, shaken",
    "license": "MIT",
    "dtype": "float32",
    "figures": {"greedy": "44 of 128"},
}


def base_model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_path("tiny"), dtype=torch.float32)


def write_card(folder: Path, role: str, **more: Any) -> None:
    (folder / adapters.CARD).write_text(json.dumps({"base": "tiny", "role": role, **CARD, **more}))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters: LoRA of rank 2 with random weights, and the head of a reward model."""
    from safetensors.torch import save_file

    shelf = tmp_path_factory.mktemp("adapters")
    steps, prm = shelf / "tiny+steps", shelf / "tiny+reward"
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(base_model(), config).save_pretrained(steps)
    (steps / "README.md").unlink()
    write_card(steps, "policy")
    prm.mkdir()
    hidden = base_model().config.hidden_size
    save_file(
        {"score.weight": torch.ones(1, hidden), "score.bias": torch.zeros(1)}, prm / "score.safetensors"
    )
    (prm / "prm.json").write_text(json.dumps({"kind": "o1coder", "format": "pseudocode"}))
    write_card(prm, "prm")
    return shelf


@pytest.fixture(autouse=True)
def shipped(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shelf stands in the place of the package's, the cache is empty."""
    monkeypatch.setattr(adapters, "ADAPTERS", shelf)
    monkeypatch.setenv("O1CODER_CACHE", str(tmp_path / "cache"))
    return shelf


def test_adapters_are_found_by_their_cards() -> None:
    assert {name: one.role for name, one in shipped_adapters().items()} == {
        "tiny+reward": "prm",
        "tiny+steps": "policy",
    }
    assert shipped_prm("reward") == "tiny+reward"
    assert shipped_prm("steps") is None  # a policy
    assert parameter_count("tiny+steps") == TINY


def test_a_merged_model_is_the_base_with_its_adapter_and_made_once(shelf: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert find_model("tiny+steps") is None
    told: list[str] = []
    folder = model_path("tiny+steps", on_progress=lambda stage, *_: told.append(stage))
    assert told == ["merging tiny+steps"]
    assert find_model("tiny+steps") == folder
    assert model_path("tiny+steps", on_progress=lambda stage, *_: told.append(stage)) == folder
    assert len(told) == 1
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(tokens).logits
        plain = base_model()(tokens).logits
        adapted = peft.PeftModel.from_pretrained(base_model(), str(shelf / "tiny+steps"))(tokens).logits
    assert torch.allclose(merged, adapted, atol=1e-4)
    assert not torch.allclose(merged, plain, atol=1e-2)


def test_a_policy_and_a_scorer_are_loaded_by_name() -> None:
    from o1coder_gym.policies import load_policy
    from o1coder_gym.prm import load_scorer
    from o1coder_gym.problems.loading import load_rows
    from o1coder_gym.types import ActionType, PolicyRequest, Sampling, State, Step

    problem = load_rows("micro", split="test")[0].problem
    state = State(problem.task_id)
    request = PolicyRequest(problem, state, 1, Sampling(0.0, max_tokens=8), 0)
    ((proposal,),) = load_policy("hf:tiny+steps?dtype=float32").propose([request])
    assert proposal.tokens > 0
    (score,) = load_scorer("prm:reward").score([(problem, state.then(Step(ActionType.DEFINE, "Sort.")))])
    assert 0 <= score <= 1
    folder = find_model("tiny+reward")
    assert folder is not None
    assert (folder / "model.safetensors").is_symlink()  # nothing of the base is copied


def test_cards_are_printed() -> None:
    done = call("models", "card", "tiny+steps")
    assert done.exit_code == 0
    assert "# tiny+steps" in done.stdout
    assert "- license: MIT" in done.stdout
    assert "| greedy | 44 of 128 |" in done.stdout
    assert json.loads(call("models", "card", "tiny+steps", "--json").stdout)["role"] == "policy"
    done = call("models", "card", "tiny")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "has no card" in done.stderr
    listed = [json.loads(line) for line in call("models", "list", "--json").stdout.splitlines()]
    assert {"tiny", "tiny+steps", "tiny+reward"} <= {row["name"] for row in listed}


@pytest.mark.parametrize("card", ["{}", "[", '{"base": "tiny", "role": "poet", "title": "", "license": ""}'])
def test_a_damaged_card_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    (tmp_path / "tiny+x").mkdir()
    (tmp_path / "tiny+x" / adapters.CARD).write_text(card)
    monkeypatch.setattr(adapters, "ADAPTERS", tmp_path)
    with pytest.raises(WeightsError, match="not the card of an adapter"):
        model_path("tiny+x")


def test_what_does_not_ship_is_told_with_what_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'tiny\+more'.*tiny\+steps"):
        model_path("tiny+more")
    monkeypatch.setattr(adapters, "ADAPTERS", tmp_path / "none")
    assert shipped_adapters() == {}


def test_a_training_becomes_an_adapter_that_ships(
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "evidence" / "bundle.py"
    spec = importlib.util.spec_from_file_location("bundle_script", path)
    assert spec is not None
    assert spec.loader is not None
    bundle = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bundle)  # its dataclasses ask for it
    spec.loader.exec_module(bundle)
    run, out = tmp_path / "run", tmp_path / "data"
    shutil.copytree(shelf / "tiny+steps", run / "adapter")
    (run / "model").mkdir()
    config = {"model": str(model_path("tiny")), "settings": {"lora_rank": 2}}
    made = {"stage": "sft", "config": config, "inputs": {"data": "d"}, "versions": {"peft": "1"}, "hash": "h"}
    (run / "model" / "provenance.json").write_text(json.dumps(made))
    bundle.adapter(bundle.AdapterSettings(run=run, name="again", license="MIT", out=out))
    assert str(out / "tiny+again") in capsys.readouterr().out
    monkeypatch.setattr(adapters, "ADAPTERS", out)
    (one,) = shipped_adapters().values()
    assert (one.name, one.base, one.title) == ("tiny+again", "tiny", "tiny after sft")
    assert one.card["settings"] == {"lora_rank": 2}
    assert json.loads((one.folder / adapters.LORA[0]).read_text())["base_model_name_or_path"] == "tiny"
    assert model_path("tiny+again").name.startswith("tiny+again-")
    monkeypatch.setattr(bundle, "LARGEST", 10)
    with pytest.raises(UsageError, match="smaller rank"):
        bundle.adapter(bundle.AdapterSettings(run=run, name="large", license="MIT", out=out))
    assert not (out / "tiny+large").exists()
    with pytest.raises(UsageError, match="an adapter ships for a model with a name"):
        bundle.known_name(str(tmp_path))
