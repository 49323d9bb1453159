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
import time
from pathlib import Path
from typing import Annotated

import typer

from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.process_data import read_data

app = typer.Typer(help=__doc__, no_args_is_help=True)

OBJECTIVES = ("soft", "hard", "pairwise")


@app.command()
def pipeline(
    out: Annotated[Path, typer.Option("--out", help="Folder of all runs.")],
    problems: Annotated[str, typer.Option("--problems", help="Problem set with splits.")] = "mbpp",
    train_split: Annotated[str, typer.Option("--train-split")] = "train",
    test_split: Annotated[str, typer.Option("--test-split")] = "validation",
    limit: Annotated[int, typer.Option("--limit", help="Problems to train on.")] = 200,
    test_limit: Annotated[int, typer.Option("--test-limit", help="Problems held out.")] = 100,
    model: Annotated[str, typer.Option("--model", help="Start of the PRM.")] = DEFAULT_MODEL,
    policy: Annotated[str, typer.Option("--policy", help="Who searches; by default the model.")] = "",
    agent: Annotated[str, typer.Option("--agent")] = "mcts:simulations=32,width=4",
    tokens: Annotated[int, typer.Option("--tokens", help="Per search.")] = 4096,
    bench_tokens: Annotated[int, typer.Option("--bench-tokens", help="Per problem of the bench.")] = 1024,
    train: Annotated[str, typer.Option("--train", help="Further options of o1coder prm train.")] = "",
    score: Annotated[str, typer.Option("--score", help="Options of scorers, as ?dtype=bfloat16.")] = "",
    run: Annotated[bool, typer.Option("--run", help="Run the commands, not only print them.")] = False,
) -> None:
    """Synthesize, train by all objectives, measure on problems held out, search with and without."""
    proposes = policy or f"hf:{model}"
    search = f"--problems {problems} --policy {proposes} --agent {agent} --tokens {tokens} --validation 0"
    commands = [
        f"synthesize {search} --split {train_split} --limit {limit} --out {out / 'train'}",
        f"synthesize {search} --split {test_split} --limit {test_limit} --seed 1 --out {out / 'test'}",
        f"prm eval heuristic --data {out / 'test'} --split all --out {out / 'heuristic'}",
    ]
    for name in OBJECTIVES:
        folder = out / name
        commands += [
            f"prm train --data {out / 'train'} --model {model} --objective {name} --out {folder} {train}",
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
        f" --scorer prm:{out / 'soft' / 'model'}{score} --tokens {bench_tokens} --out {out / 'bench'}"
    )
    for command in commands:
        typer.echo(f"o1coder {command}")
        if run:
            subprocess.run(["o1coder", *shlex.split(command), "--resume"], check=True)


@app.command()
def speed(
    scorer: Annotated[str, typer.Argument(help="prm:FOLDER")],
    data: Annotated[Path, typer.Option("--data", help="Process data to score.")],
    states: Annotated[int, typer.Option("--states", help="States per round.")] = 256,
    rounds: Annotated[int, typer.Option("--rounds")] = 5,
) -> None:
    """Tokens per second of a scorer and of bare forward passes, in turn, in one run."""
    import torch

    from o1coder_gym.prm import load_scorer
    from o1coder_gym.prm.scorer import ModelScorer

    found = load_scorer(scorer)
    assert isinstance(found, ModelScorer)
    rows = read_data(data)
    problems = {problem.task_id: problem for problem in rows.problems}
    ends = [row.state for row in rows.prefixes if row.ended][:states]
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

    for _ in range(rounds + 1):
        for name, work in (("scorer", score), ("bare forward", bare)):
            begun = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    for name, seconds in medians.items():
        spread = f"{min(taken[name][1:]):.3f} to {max(taken[name][1:]):.3f} s"
        typer.echo(f"{name}: {tokens / seconds:,.0f} tokens/s ({len(items)} states, {spread})")
    typer.echo(f"scorer / bare forward: {medians['bare forward'] / medians['scorer']:.2f}")


if __name__ == "__main__":
    app()
