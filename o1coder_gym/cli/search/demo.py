"""`o1coder demo`: what this project is, in a minute and a half, with the tiny model that ships with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import check_free, resumable, run_folder
from o1coder_gym.cli.search.demo_model import model_demo
from o1coder_gym.cli.search.demo_tiny import tiny_demo
from o1coder_gym.errors import UsageError
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import Checked, Range
from o1coder_gym.settings.groups import RunSettings, Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings(Checked):
    """Model.

    Attributes:
        model: A language model instead of the tiny one, e.g. qwen2.5-coder-0.5b (fetched, about 400 MB).
        policy: As --model, but any policy: hf:FOLDER, vllm:NAME, openai:URL#NAME.
        limit: Only the first N held-out problems of the tiny model.
    """

    model: str | None = None
    policy: str | None = None
    limit: Annotated[int, Range(2)] | None = None
    seed: Seed = 0
    run: RunSettings = RunSettings()


def demo(settings: DemoSettings) -> None:
    """Watch a tree search solve problems that greedy decoding fails, and see whether it pays."""
    model, policy, seed, run = settings.model, settings.policy, settings.seed, settings.run
    if model is not None and policy is not None:
        raise UsageError("--model NAME is short for --policy hf:NAME; give one of them")
    console = notes()
    chosen = policy if model is None else f"hf:{model}"
    folder = run_folder("demo", run.out, resume=run.resume)
    check_free(folder, resume=run.resume)  # else it is found out after the first picture
    with resumable(folder):
        found = (
            tiny_demo(console, folder, seed=seed, limit=settings.limit, resume=run.resume)
            if chosen is None
            else model_demo(console, chosen, folder, seed=seed, resume=run.resume)
        )
    if run.as_json:
        print(to_json(found))


app = command(DemoSettings, demo, name="demo")
