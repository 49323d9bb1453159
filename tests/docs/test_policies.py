"""The page on policies does what it says, and its tables are the settings."""

import dataclasses
import re
from pathlib import Path

import pytest

from o1coder_gym.policies import FakeSettings, HFSettings, OpenAISettings, VLLMSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text()


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "policies.md"}
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)):
        exec(compile(block, f"policies.md, block {number}", "exec"), names)
    assert len(names["proposals"]) == 3
    assert names["done"].result.value == 1.0
    assert names["own"].result.value == 1.0
    assert "def double(x)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("## transformers: `hf`", HFSettings),
        ("## vLLM: `vllm`", VLLMSettings),
        ("## A server: `openai`", OpenAISettings),
        ("## No model at all: `fake`", FakeSettings),
    ],
)
def test_the_tables_list_all_settings_with_their_defaults(heading, settings):
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", section, flags=re.M)
    assert listed == [(field.name, str(field.default)) for field in dataclasses.fields(settings)]
