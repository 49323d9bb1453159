"""Measures process reward models: from searches on training problems to choices on problems held out.

Commands, in the order in which the results in README.md were made::

    o1coder micro --out runs/micro --train 200 --validation 100
    MICRO="--problems runs/micro/problems.jsonl --model runs/micro/model"
    python benchmarks/evidence/prm.py pipeline $MICRO --out runs/prm --run
    python benchmarks/evidence/prm.py pipeline --problems mbpp --limit 60 --test-limit 50 \
        --out runs/prm-mbpp --run
    python benchmarks/evidence/prm.py speed prm:runs/prm/soft/model --data runs/prm/test

`pipeline` prints the commands it would run; with ``--run`` it runs them (minutes with the micro-problems,
hours with MBPP on a CPU). `speed` compares a scorer with bare forward passes of the same model and tokens.
"""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.process_data import read_data
from o1coder_gym.settings import Checked, Flag

OBJECTIVES = ("soft", "hard", "pairwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings(Checked):
    """Pipeline.

    Attributes:
        out: Folder of all runs.
        problems: Problem set with splits.
        train_split: Split to train on.
        test_split: Split held out.
        limit: Problems to train on.
        test_limit: Problems held out.
        model: Start of the PRM.
        policy: Who searches; by default the model.
        agent: The search.
        tokens: Per search.
        bench_tokens: Per problem of the bench.
        train: Further options of o1coder prm train.
        score: Options of scorers, as ?dtype=bfloat16.
        run: Run the commands, not only print them.
    """

    out: Path
    problems: str = "mbpp"
    train_split: str = "train"
    test_split: str = "validation"
    limit: int = 200
    test_limit: int = 100
    model: str = DEFAULT_MODEL
    policy: str = ""
    agent: str = "mcts:simulations=32,width=4"
    tokens: int = 4096
    bench_tokens: int = 1024
    train: str = ""
    score: str = ""
    run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSettings(Checked):
    """Speed.

    Attributes:
        scorer: prm:FOLDER
        data: Process data to score.
        states: States per round.
        rounds: How often.
    """

    scorer: Annotated[str, Flag("SCORER")]
    data: Path
    states: int = 256
    rounds: int = 5


def pipeline(settings: PipelineSettings) -> None:
    """Synthesize, train by all objectives, measure on problems held out, search with and without."""
    for line in commands_of(settings):
        print(f"o1coder {line}")
        if settings.run:
            subprocess.run(["o1coder", *shlex.split(line), "--resume"], check=True)


def commands_of(settings: PipelineSettings) -> list[str]:
    """Returns the commands of the pipeline, in order."""
    out, problems, model, score = settings.out, settings.problems, settings.model, settings.score
    test_split, test_limit = settings.test_split, settings.test_limit
    proposes = settings.policy or f"hf:{model}"
    search = f"--problems {problems} --policy {proposes} --agent {settings.agent} --tokens {settings.tokens}"
    search += " --validation 0"
    learnt = f"--split {settings.train_split} --limit {settings.limit}"
    commands = [
        f"synthesize {search} {learnt} --out {out / 'train'}",
        f"synthesize {search} --split {test_split} --limit {test_limit} --seed 1 --out {out / 'test'}",
        f"prm eval heuristic --data {out / 'test'} --split all --out {out / 'heuristic'}",
    ]
    for name in OBJECTIVES:
        folder, start = out / name, f"--model {model} {settings.train}"
        commands += [
            f"prm train --data {out / 'train'} --objective {name} --out {folder} {start}",
            f"prm eval prm:{folder / 'model'}{score} --data {out / 'test'} --split all --out {folder}/report",
        ]
    agents = ["mcts", "mcts:evaluate=mixed", "beam", "beam:rank=by_scorer"]
    agents += [
        "best_of_n:n=8",
        "best_of_n:n=8,select=prm_last",
        "best_of_n:n=8,select=public,select=prm_last",
    ]
    named = " ".join(f"--agent {one}" for one in agents)
    commands.append(
        f"bench --problems {problems} --split {test_split} --limit {test_limit} --policy {proposes} {named}"
        f" --scorer prm:{out / 'soft' / 'model'}{score} --tokens {settings.bench_tokens}"
        f" --out {out / 'bench'}"
    )
    return commands


def speed(settings: SpeedSettings) -> None:
    """Tokens per second of a scorer and of bare forward passes, in turn, in one run."""
    import torch

    from o1coder_gym.prm import load_scorer
    from o1coder_gym.prm.scorer import ModelScorer

    found = load_scorer(settings.scorer)
    assert isinstance(found, ModelScorer)
    rows = read_data(settings.data)
    problems = {problem.task_id: problem for problem in rows.problems}
    ends = [row.state for row in rows.prefixes if row.ended][: settings.states]
    items = [(problems[state.problem_id], state) for state in ends]
    encoded = sorted((found.text.fitted(*item) for item in items), key=lambda one: len(one.ids))
    tokens = sum(len(one.ids) for one in encoded)
    batches = found.batches([len(one.ids) for one in encoded])

    def bare() -> None:
        for batch in batches:
            longest = max(len(encoded[index].ids) for index in batch)
            ids = torch.zeros(len(batch), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for place, index in enumerate(batch):
                ids[place, : len(encoded[index].ids)] = torch.tensor(encoded[index].ids)
                mask[place, : len(encoded[index].ids)] = 1
            device = next(found.model.backbone.parameters()).device
            with torch.inference_mode():
                found.model.backbone(
                    input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
                ).last_hidden_state[0, 0, 0].item()

    taken: dict[str, list[float]] = {"scorer": [], "bare forward": []}

    def score() -> None:
        found.model.forget()
        found.score(items)

    for _ in range(settings.rounds + 1):
        for name, work in (("scorer", score), ("bare forward", bare)):
            begun = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    for name, seconds in medians.items():
        spread = f"{min(taken[name][1:]):.3f} to {max(taken[name][1:]):.3f} s"
        print(f"{name}: {tokens / seconds:,.0f} tokens/s ({len(items)} states, {spread})")
    print(f"scorer / bare forward: {medians['bare forward'] / medians['scorer']:.2f}")


if __name__ == "__main__":
    app = new_app("prm", __doc__ or "")
    app.command(command(PipelineSettings, pipeline, name="pipeline"))
    app.command(command(SpeedSettings, speed, name="speed"))
    sys.exit(main_of(app))
