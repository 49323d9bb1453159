"""``o1coder list``: everything with its parameters, in 80 columns and as JSON; the broken stands apart."""

import json

import pytest

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.specs import registry
from tests.command_line import call

PLURALS = [kind.plural for kind in registry.KINDS.values()]


def listed(*arguments: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        done = call("list", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("plural", PLURALS)
def test_every_kind_fits_eighty_columns(plural: str) -> None:
    text = listed(plural)
    assert max(map(len, text.splitlines())) <= 80
    for name in registry.entries(
        next(kind.name for kind in registry.KINDS.values() if kind.plural == plural)
    ):
        assert name in text


@pytest.mark.parametrize("plural", PLURALS)
def test_every_kind_is_json_a_line(plural: str) -> None:
    rows = [json.loads(line) for line in listed(plural, "--json").splitlines()]
    assert rows
    for row in rows:
        assert row["summary"]
        assert {"kind", "name", "usage", "origin", "path", "parameters"} < row.keys()


def test_parameters_have_types_defaults_and_meanings() -> None:
    rows = {row["name"]: row for row in map(json.loads, listed("agents", "--json").splitlines())}
    parameters = {one["name"]: one for one in rows["mcts"]["parameters"]}
    assert parameters["width"] == {
        "name": "width",
        "type": "int|null ≥ 1",
        "required": False,
        "default": None,
        "meaning": "Samples per node, ≥ 1; more only where a path has nothing else left. "
        "null: as many as the node's visits ask for.",
    }
    assert parameters["evaluate"]["default"] == "rollout"
    assert parameters["select"]["default"] is None
    assert "tree" not in parameters
    rows = {row["name"]: row for row in map(json.loads, listed("policies", "--json").splitlines())}
    assert rows["hf"]["usage"] == "hf:TARGET"
    assert rows["fake"]["usage"] == "fake"
    model = next(one for one in rows["openai"]["parameters"] if one["name"] == "model")
    assert (model["required"], model["default"]) == (True, None)
    assert "required" in listed("executors")


def test_what_is_broken_stands_apart(tmp_path, monkeypatch) -> None:
    info = tmp_path / "bad-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 2.0\n")
    points = [
        "agent.bad = no_such_module:agent",
        "agent.mcts = no_such_module:agent",
        "agnet.x = no_such_module:x",
    ]
    (info / "entry_points.txt").write_text("\n".join(["[o1coder_gym.plugins]", *points]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = call("list", "agents", "--json")
    assert done.exit_code == 0
    assert "greedy" in {json.loads(line)["name"] for line in done.stdout.splitlines()}
    told = done.stderr.splitlines()
    assert len(told) == 3
    assert "plug-in agnet.x of bad 2.0 (no_such_module:x) starts with none of agent, policy" in told[0]
    assert "agent 'mcts' is offered by o1coder-gym" in told[1]
    assert "plug-in agent.bad of bad 2.0 (no_such_module:agent) cannot be loaded" in told[2]


def test_an_unknown_kind_is_refused() -> None:
    done = call("list", "agent")
    assert isinstance(done.exception, UnknownNameError)
    assert "did you mean 'agents'" in str(done.exception)
