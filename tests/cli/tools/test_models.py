"""``o1coder models``: what is known, where it is, what is missing."""

import json

import pytest

from o1coder_gym.cli.tools.models import fetch_progress
from o1coder_gym.errors import UnknownNameError, WeightsError
from o1coder_gym.models.lookup import BUNDLED_MODELS, KNOWN_MODELS, find_model
from tests.command_line import call


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("O1CODER_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return lambda *arguments: call("models", *arguments)


@pytest.fixture
def fetched(tmp_path):
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    return folder


def test_list_says_which_models_are_there(run, fetched):
    rows = {row["name"]: row for row in map(json.loads, run("list", "--json").stdout.splitlines())}
    assert rows.keys() == BUNDLED_MODELS.keys() | KNOWN_MODELS.keys()
    assert rows["tiny"]["path"] == str(find_model("tiny"))
    assert rows["smollm2-135m"]["path"] == str(fetched)
    assert rows["qwen2.5-coder-0.5b"]["path"] is None
    lines = run("list").stdout.splitlines()
    assert f"smollm2-135m: {fetched}" in lines
    assert "qwen2.5-coder-0.5b: not fetched" in lines
    assert f"tiny: bundled, {find_model('tiny')}" in lines


def test_path_prints_the_folder_and_nothing_else(run, fetched):
    assert run("path", "smollm2-135m").stdout == f"{fetched}\n"


def test_path_fetches_nothing(run):
    error = run("path", "smollm2-135m").exception
    assert isinstance(error, WeightsError)
    assert str(error) == "model 'smollm2-135m' is not on this machine; run: o1coder models fetch smollm2-135m"


def test_fetch_prints_the_folder_of_what_is_there(run, fetched):
    assert run("fetch", "smollm2-135m").stdout == f"{fetched}\n"


def test_fetch_does_not_know_every_name(run):
    assert isinstance(run("fetch", "gpt-17").exception, UnknownNameError)


def test_progress_goes_to_standard_error(capfd):
    with fetch_progress() as on_progress:
        on_progress("the Hub is far away", 0, 0)
        on_progress("downloading", 5, 10)
        on_progress("downloading", 10, 10)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "the Hub is far away" in captured.err
