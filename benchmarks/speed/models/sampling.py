"""Measures an update of RL (sampling, judging, training) by who samples, beside TRL and an earlier build.

    python benchmarks/speed/models/sampling.py --out FILE [--sides hf vllm trl earlier raw:hf raw:vllm]
        [--earlier CHECKOUT] [--model qwen2.5-coder-0.5b] [--problems 8] [--episodes 8] [--tokens 64]
        [--updates 2] [--lora 16] [--dtype bfloat16] [--server URL]

Each side is a process of its own with the same model, problems, batch and LoRA adapters, asked for programs
directly (format vanilla): one answer an episode. An update is timed from the end of one sampling to the end
of the next; the first sampling, which loads engines, does not count. ``trl`` is TRL's GRPOTrainer as it
comes, with generation by transformers and this project's judge as its reward function. ``earlier`` is a
checkout of an earlier commit, hf. ``openai`` needs --server. ``raw:SAMPLER`` records the requests of a batch
that is sampled without judging, and replays them on the engine alone, in turns: tokens per second of both.

With --out a side that is measured already is not measured again, so that the command can be stopped and
given again; the table has all sides so far. Timings need a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]


class Clock:
    """Notes when each batch of episodes is there, and how many tokens it has."""

    def __init__(self) -> None:
        self.at: list[tuple[float, float]] = []
        self.tokens: list[float] = []

    def __call__(self, t: int, metrics: Any) -> None:
        """As a training calls back with each batch."""
        self.note(metrics["episodes/tokens"])

    def note(self, tokens: float) -> None:
        """Notes a batch with so many tokens an episode."""
        self.at.append((time.perf_counter(), time.process_time()))
        self.tokens.append(tokens)

    def row(self, episodes: int) -> Row:
        """Returns the best update."""
        gaps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(self.at, self.at[1:], strict=False)]
        seconds, cpu = min(gaps)
        return {"seconds": seconds, "cpu": cpu, "tokens": sum(self.tokens[1:]) / len(gaps) * episodes}


def ours(options: argparse.Namespace, sampler: str) -> Row:
    """Measures this project's training."""
    train_policy = _part("agents.rl.grpo", "train_policy")
    settings_of = _part("agents.rl.settings", "RLSettings")
    chosen: dict[str, Any] = {"sampler": sampler} if sampler != "earlier" else {}
    settings = settings_of(
        credit="outcome",
        updates=options.updates + 1,
        problems=options.problems,
        episodes=options.episodes,
        rows_at_once=min(16, options.problems * options.episodes),
        beta=0.0,
        lora_rank=options.lora,
        max_tokens=options.tokens,
        save_every=1000,
        dtype=options.dtype,
        **chosen,
    )
    process, clock = _process(options), Clock()
    with tempfile.TemporaryDirectory() as out:
        train_policy(
            options.model,
            process,
            process.task_ids,
            Path(out),
            settings,
            step_format=process.format,
            on_update=clock,
        )
    return clock.row(settings.batch)


def trl(options: argparse.Namespace) -> Row:
    """Measures TRL's trainer on the same prompts."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from o1coder_gym.envs.trl import outcome, rows
    from o1coder_gym.models.checkpoints import load_weights, quiet
    from o1coder_gym.models.lookup import model_path
    from o1coder_gym.models.training.arguments import lora

    clock, batch = Clock(), options.problems * options.episodes

    def paid(completions: Any, completion_ids: Any, **columns: Any) -> Any:
        found = outcome(completions, **columns)
        clock.note(sum(map(len, completion_ids)) / len(completion_ids))
        return found

    model, tokenizer = load_weights(model_path(options.model), options.dtype)
    count = (options.updates + 1) * options.problems
    problems = _problems()[:count]
    at_once = min(16, batch)
    with tempfile.TemporaryDirectory() as out, quiet():
        GRPOTrainer(
            model=model,
            reward_funcs=[paid],
            args=GRPOConfig(
                out,
                max_steps=options.updates + 1,
                num_generations=options.episodes,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=batch // at_once,
                steps_per_generation=batch // at_once,
                max_completion_length=options.tokens,
                beta=0.0,
                learning_rate=1e-5,
                temperature=1.0,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(rows(problems, format="vanilla")),
            processing_class=tokenizer,
            peft_config=lora(options.lora),
        ).train()
    return clock.row(batch)


def raw(options: argparse.Namespace, sampler: str) -> Row:
    """Measures sampling beside the engine alone."""
    from o1coder_gym.agents.rl.episodes import sample_episodes
    from o1coder_gym.agents.rl.sampling.actors import Start
    from o1coder_gym.agents.rl.sampling.making import make_actor
    from o1coder_gym.models.checkpoints import load_weights
    from o1coder_gym.models.lookup import model_path
    from o1coder_gym.types import Outcome, Sampling, Verdict

    class NoJudge:
        """Says at once that a program is wrong."""

        def evaluate(self, submissions: Any, /) -> list[Verdict]:
            return [Verdict(Outcome.WRONG_ANSWER) for _ in submissions]

    folder, batch = str(model_path(options.model)), options.problems * options.episodes
    model, tokenizer = load_weights(Path(folder), options.dtype)
    process = _process(options, NoJudge())
    start = Start(folder, model, tokenizer, process.format, options.dtype, 0, batch)
    actor = make_actor(sampler, start)
    actor.refresh(model, 0)
    engine: Any = actor.policy.engine
    asked, generate = [], engine.generate

    def recorded(requests: Any, /) -> Any:
        asked.append(requests)
        return generate(requests)

    task_ids = [one for one in process.task_ids[: options.problems] for _ in range(options.episodes)]
    best = {"sampler": 0.0, "engine": 0.0}
    for turn in range(3):
        asked.clear()
        engine.generate = recorded
        engine.forget()
        actor.policy.forget()
        begun = time.perf_counter()
        episodes = actor.sample(
            lambda policy: sample_episodes(
                process, policy, task_ids, sampling=Sampling(1.0, 1.0, 0, options.tokens), seed=1
            )
        )
        mine = sum(one.tokens for one in episodes) / (time.perf_counter() - begun)
        engine.generate = generate
        engine.forget()
        begun = time.perf_counter()
        answers = [one for requests in list(asked) for group in generate(requests) for one in group]
        alone = sum(one.tokens for one in answers) / (time.perf_counter() - begun)
        if turn:  # the first one warms both up
            best = {"sampler": max(best["sampler"], mine), "engine": max(best["engine"], alone)}
    actor.close()
    return {"tokens_per_second": best["sampler"], "of_engine": best["sampler"] / best["engine"]}


def _problems() -> Any:
    return _part("problems.loading", "load_problems")("starter")


def _process(options: argparse.Namespace, judge: Any = None) -> Any:
    from o1coder_gym.envs.reasoning_model import ReasoningModel
    from o1coder_gym.sandbox import default_judge

    form = _part("steps.formats", "load_format")("vanilla")
    return ReasoningModel(_problems(), judge or default_judge(), format=form, max_steps=1)


_EARLIER = {
    "agents.rl.grpo": "agents.step_grpo",
    "agents.rl.settings": "agents.rl_settings",
    "problems.loading": "problems",
    "steps.formats": "formats",
}
"""Where modules were in 268bfca."""


def _part(module: str, name: str) -> Any:
    """Returns a part of the project, also of one in its earlier layout."""
    try:
        found = import_module(f"o1coder_gym.{module}")
    except ModuleNotFoundError:
        found = import_module(f"o1coder_gym.{_EARLIER[module]}")
    return getattr(found, name)


def measure(side: str, options: argparse.Namespace) -> Row:
    """Returns the figures of a side, measured in this process."""
    if side == "trl":
        return trl(options)
    if side.startswith("raw:"):
        return raw(options, side.removeprefix("raw:"))
    return ours(options, f"openai:{options.server}" if side == "openai" else side)


def measured(side: str, options: argparse.Namespace) -> Row:
    """Returns the figures of a side, measured in a process of its own."""
    where = options.earlier if side == "earlier" else ROOT
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--alone", side],
        env=os.environ | {"PYTHONPATH": str(where)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def show(known: dict[str, Row]) -> None:
    """Prints the table of what is measured."""
    print(f"{'side':12} {'s/update':>9} {'CPU s':>8} {'tokens':>8} {'tok/s':>8}  of engine")
    for side, row in known.items():
        if "seconds" in row:
            print(f"{side:12} {row['seconds']:9.1f} {row['cpu']:8.1f} {row['tokens']:8.0f}")
        else:
            print(f"{side:12} {'':9} {'':8} {'':8} {row['tokens_per_second']:8.1f}  {row['of_engine']:.2f}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", default=["hf", "vllm", "trl", "raw:hf", "raw:vllm"])
    parser.add_argument("--earlier", type=Path, help="checkout of the side `earlier`")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="known name, Hub id or folder")
    parser.add_argument("--problems", type=int, default=8, help="of a batch")
    parser.add_argument("--episodes", type=int, default=8, help="of a problem")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer, at most")
    parser.add_argument("--updates", type=int, default=2, help="timed; the best counts")
    parser.add_argument("--lora", type=int, default=16, help="rank")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--server", help="address of the side `openai`")
    parser.add_argument("--out", type=Path, help="JSON file of what is measured already")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options.alone, options)))
        return
    known: dict[str, Row] = (
        json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    )
    for side in options.sides:
        if side not in known:
            known[side] = measured(side, options)
            if options.out:
                options.out.write_text(json.dumps(known, indent=2))
        show(known)


if __name__ == "__main__":
    main()
