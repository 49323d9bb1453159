"""Measures process reward models: from searches on training problems to choices on problems held out.

Commands, in the order in which the results in README.md were made::

    python benchmarks/evidence/prm.py pipeline --micro --out runs/prm --run
    python benchmarks/evidence/prm.py pipeline --engine vllm --out runs/prm-mbpp --run
    python benchmarks/evidence/prm.py noise --data runs/prm/test
    python benchmarks/evidence/prm.py speed prm:runs/prm/soft/model --data runs/prm/test

`pipeline` prints the commands it would run; with ``--run`` it runs them (an hour with the micro-problems and
the tiny model, hours with MBPP on a CPU) and, called again, goes on where it was. `noise` says how well
labels agree with themselves: what half of the completions say about pairs that the other half orders.
`speed` compares a scorer with bare forward passes of the same model and tokens.
"""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Annotated

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.metrics.estimates import estimate_share
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.process_data import read_data
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.settings import Checked, Flag

OBJECTIVES = ("soft", "hard", "pairwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings(Checked):
    """Pipeline.

    Attributes:
        out: Folder of all runs.
        micro: Micro-problems and the tiny model, with settings that fit; what is given counts more.
        problems: Problem set with splits.
        train_split: Split to train on.
        test_split: Split held out.
        limit: Problems to train on.
        test_limit: Problems held out.
        model: Start of the PRM.
        engine: Who runs the policy: hf or vllm.
        policy: Who searches; by default the model.
        simulations: Of each search, of width 4.
        sampling: Of all agents, as in their specs.
        rollouts: K, completions of each prefix.
        tokens: Per search.
        bench_tokens: Per problem of the bench; several with commas.
        train: Further options of o1coder prm train.
        score: Options of scorers, as ?dtype=bfloat16.
        run: Run the commands, not only print them.
    """

    out: Path
    micro: bool = False
    problems: str = ""
    train_split: str = "train"
    test_split: str = "test"
    limit: int = 0
    test_limit: int = 0
    model: str = ""
    engine: str = "hf"
    policy: str = ""
    simulations: int = 32
    sampling: str = ""
    rollouts: int = 8
    tokens: int = 2048
    bench_tokens: str = ""
    train: str = ""
    score: str = ""
    run: bool = False


MICRO = PipelineSettings(
    out=Path(),
    problems="micro",
    limit=256,
    test_limit=128,
    model="tiny",
    policy="hf:tiny?dtype=float32",
    sampling=",temperature=1.0,top_p=1.0,top_k=0,max_tokens=96",
    bench_tokens="256,512,1024",
    train="--lora-rank 0 --lr 3e-4 --epochs 2 --batch 16 --rows-at-once 16 --max-length 512",
)
MBPP = PipelineSettings(
    out=Path(),
    problems="mbpp",
    limit=374,
    test_limit=200,
    model=DEFAULT_MODEL,
    bench_tokens="1024,2048",
    train="--rows-at-once 2",
)

_OF_A_SET = ("problems", "limit", "test_limit", "model", "policy", "sampling", "bench_tokens", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSettings(Checked):
    """Noise.

    Attributes:
        data: Folder of a synthesis with --rollouts.
        margin: Smallest difference of a pair's values.
    """

    data: Path
    margin: float = 0.2


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
    for line in commands_of(_filled(settings)):
        print(f"o1coder {line}", flush=True)
        if settings.run:
            subprocess.run(["o1coder", *shlex.split(line)], check=True)


def _filled(settings: PipelineSettings) -> PipelineSettings:
    """Returns the settings with those of micro-problems, or of MBPP, where nothing was given."""
    usual = MICRO if settings.micro else MBPP
    empty = [name for name in _OF_A_SET if not getattr(settings, name)]
    return replace(settings, **{name: getattr(usual, name) for name in empty})


def commands_of(settings: PipelineSettings) -> list[str]:
    """Returns the commands of the pipeline, in order."""
    out, problems, model, score = settings.out, settings.problems, settings.model, settings.score
    test_split, test_limit = settings.test_split, settings.test_limit
    proposes = settings.policy or f"{settings.engine}:{model}"
    agent = f"mcts:simulations={settings.simulations},width=4{settings.sampling}"
    search = f"--problems {problems} --policy {proposes} --agent {agent} --tokens {settings.tokens}"
    search += f" --rollouts {settings.rollouts} --max-steps 5 --validation 0 --resume"
    learnt = f"--split {settings.train_split} --limit {settings.limit}"
    commands = [
        f"synthesize {search} {learnt} --out {out / 'train'}",
        f"synthesize {search} --split {test_split} --limit {test_limit} --seed 1 --out {out / 'test'}",
        f"prm fit --data {out / 'train'} --model {model} --out {out / 'heads'}",
        _measured("heuristic", out / "heuristic", out),
    ]
    commands += [
        _measured(f"prm:{_head(out, name)}{score}", _head(out, name).parent / "report", out)
        for name in OBJECTIVES
    ]
    for name in OBJECTIVES:
        folder = out / name
        commands += [
            f"prm train --data {out / 'train'} --objective {name} --model {_head(out, name)} {settings.train}"
            f" --out {folder} --resume",
            _measured(f"prm:{folder / 'model'}{score}", folder / "report", out),
        ]
    named = [f"--agent {one}" for pair in _pairs(settings.sampling) for one in pair]
    bench = out / "bench"
    commands.append(
        f"bench --problems {problems} --split {test_split} --limit {test_limit} --policy {proposes}"
        f" {' '.join(dict.fromkeys(named))} --scorer prm:{out / 'soft' / 'model'}{score} --max-steps 5"
        f" --tokens {settings.bench_tokens} --no-controls --out {bench} --resume"
    )
    commands += [f"compare {bench} --baseline {plain}" for plain, _ in _pairs(settings.sampling)]
    return commands


def _head(out: Path, objective: str) -> Path:
    return out / "heads" / objective / "model"


def _measured(scorer: str, report: Path, out: Path) -> str:
    return f"prm eval {scorer} --data {out / 'test'} --split all --out {report} --resume"


def _pairs(sampling: str) -> list[tuple[str, str]]:
    """Returns searches without a PRM, and the same with it."""
    own, several = sampling.removeprefix(","), f"n=100{sampling}"
    first = f":{own}" if own else ""
    return [
        (f"mcts:simulations=1000{sampling}", f"mcts:simulations=1000,evaluate=mixed{sampling}"),
        (f"puct:simulations=1000{sampling}", f"puct:simulations=1000,prior=by_score{sampling}"),
        (f"beam{first}", f"beam:rank=by_scorer{sampling}"),
        (f"best_of_n:{several}", f"best_of_n:{several},select=public,select=prm_last"),
    ]


def noise(settings: NoiseSettings) -> None:
    """How often half of a prefix's completions order pairs of siblings as the other half does."""
    right: dict[str, list[float]] = {}
    for row in tree_rows(settings.data):
        tree = SearchTree.from_row(row)
        halves = {place: (fmean(v[::2]), fmean(v[1::2])) for place, v in tree.completions if len(v) > 1}
        for one, other in combinations(sorted(halves), 2):
            if tree.nodes[one].parent != tree.nodes[other].parent:
                continue
            gaps = [halves[one][side] - halves[other][side] for side in (0, 1)]
            for told, asked in (gaps, gaps[::-1]):
                if abs(told) >= settings.margin:
                    agrees = 0.5 if not asked else float((told > 0) == (asked > 0))
                    right.setdefault(tree.problem.task_id, []).append(agrees)
    shares = [fmean(found) for found in right.values()]
    over = estimate_share(shares, [len(found) for found in right.values()])
    pairs = sum(map(len, right.values()))
    print(f"pairs in the same order by the other half: {over.percent()} %, {pairs} of {len(right)} problems")


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
    app.command(command(NoiseSettings, noise, name="noise"))
    app.command(command(SpeedSettings, speed, name="speed"))
    sys.exit(main_of(app))
