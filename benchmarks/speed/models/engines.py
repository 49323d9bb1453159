"""A search's real requests, replayed on engines of one model, each in a process of its own: one table.

    python benchmarks/speed/models/engines.py --out runs/engines [--model qwen2.5-coder-0.5b] [--problems 24]
                                          [--old PYTHON] [--vllm PYTHON] [--xllamacpp PYTHON --gguf FILE]
                                          [--only ENGINE …] [--turns 3]

First `mcts` searches starter problems with `hf:`, and what it asks is written down: batches of prompts as
token ids, with n each. Then each engine answers the same batches, 32 tokens a sample; a sample of `hf:` may
end earlier, by an end token, so compare tokens. PYTHON is the interpreter of another environment: of an
earlier version of this project for --old, of vLLM for --vllm, of llama.cpp's server for --xllamacpp; FILE is
the same model as `to_gguf.py` writes it. Engines take turns; a turn in the table is not run again.

Rates of wall time need a quiet machine; CPU seconds a sample are fair beside others, if OMP_NUM_THREADS is
the number of cores for all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "fidelity"))

TOKENS = 32
RATES = SAMPLES, TOKENS_A_SECOND, CPU = "samples a second", "tokens a second", "CPU seconds a sample"
Batch = list[dict[str, Any]]
"""Requests of one call: ``ids`` and ``n``."""


def record(model: str, problems: int, path: Path) -> None:
    """Searches and writes down what the engine was asked."""
    from o1coder_gym.agents import Driver, Task, mcts
    from o1coder_gym.envs import ReasoningModel
    from o1coder_gym.policies import HFEngine, LanguageModelPolicy
    from o1coder_gym.problems.loading import load_problems
    from o1coder_gym.runs.budget import Budget
    from o1coder_gym.sandbox import default_judge

    engine, batches = HFEngine.from_name(model), []
    answer = engine.generate

    def generate(requests: Any) -> Any:
        batches.append([{"ids": list(one.prompt_ids), "n": one.n} for one in requests])
        return answer(requests)

    engine.generate = generate  # type: ignore[method-assign]
    chosen = load_problems("starter")[:problems]
    tasks = [Task(one.task_id, mcts, Budget(tokens=384)) for one in chosen]
    Driver(ReasoningModel(chosen, default_judge()), LanguageModelPolicy(engine)).run(tasks)
    path.write_text(json.dumps(batches))


def by_hf(folder: str) -> Callable[[Batch], int]:
    """The engine of this project, of the version that is installed."""
    from o1coder_gym.policies import Generate, HFEngine
    from o1coder_gym.policies.engine import Prompt  # where all versions have it
    from o1coder_gym.types import Sampling

    engine = HFEngine.from_name(folder)
    sampling = Sampling(1.0, top_p=1.0, top_k=50, max_tokens=TOKENS)
    prompt = Prompt((("user", ""),), "", "")

    def answer(batch: Batch) -> int:
        asked = [
            Generate(prompt, tuple(one["ids"]), one["n"], sampling, 1, lambda text: None) for one in batch
        ]
        return sum(one.tokens for found in engine.generate(asked) for one in found)

    return answer


def by_generate(folder: str) -> Callable[[Batch], int]:
    """`generate` of transformers, all rows of a batch padded on the left."""
    import torch

    model, tokenizer = loaded(folder)

    def answer(batch: Batch) -> int:
        rows = [one["ids"] for one in batch for _ in range(one["n"])]
        padded = tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            found = model.generate(**padded, do_sample=True, top_k=50, **lengths())
        return len(rows) * (found.shape[1] - padded["input_ids"].shape[1])

    return answer


def by_generate_batch(folder: str) -> Callable[[Batch], int]:
    """Continuous batching of transformers."""
    from transformers import GenerationConfig

    model, tokenizer = loaded(folder)
    config = GenerationConfig(
        do_sample=True, top_k=50, max_new_tokens=TOKENS, eos_token_id=-1, pad_token_id=tokenizer.pad_token_id
    )

    def answer(batch: Batch) -> int:
        rows = [one["ids"] for one in batch for _ in range(one["n"])]
        found = model.generate_batch(inputs=rows, generation_config=config, progress_bar=False)
        return sum(len(one.generated_tokens) for one in found.values())

    return answer


def by_vllm(folder: str) -> Callable[[Batch], int]:
    """VLLM in process, as `docs/policies.md` starts it."""
    from vllm import LLM, SamplingParams, TokensPrompt  # type: ignore[import-not-found]

    engine = LLM(folder, max_model_len=4096, max_num_seqs=64, enforce_eager=True, block_size=32)

    def answer(batch: Batch) -> int:
        prompts = [TokensPrompt(prompt_token_ids=one["ids"]) for one in batch]
        drawn = {"temperature": 1.0, "top_k": 50, "max_tokens": TOKENS, "ignore_eos": True}
        found = engine.generate(
            prompts, [SamplingParams(n=one["n"], **drawn) for one in batch], use_tqdm=False
        )
        return sum(len(sample.token_ids) for one in found for sample in one.outputs)

    return answer


def by_llama_cpp(address: str) -> Callable[[Batch], int]:
    """llama.cpp's own server on loopback, all requests of a batch at once."""
    import httpx

    client = httpx.Client(base_url=address.removesuffix("/v1"), timeout=600)
    drawn = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0, "n_predict": TOKENS}

    def ask(one: dict[str, Any]) -> int:
        body = {"prompt": one["ids"], "n_cmpl": one["n"], "ignore_eos": True, "cache_prompt": True, **drawn}
        found = client.post("/completion", json=body).raise_for_status().json()
        return sum(part["tokens_predicted"] for part in (found if isinstance(found, list) else [found]))

    def answer(batch: Batch) -> int:
        with ThreadPoolExecutor(len(batch)) as threads:
            return sum(threads.map(ask, batch))

    return answer


def loaded(folder: str) -> tuple[Any, Any]:
    """Returns model and tokenizer, in the dtype that `hf:` takes on this machine."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from o1coder_gym.policies.hf.engine import auto_dtype

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, auto_dtype("cpu")))
    return model, AutoTokenizer.from_pretrained(folder)


def lengths() -> dict[str, int]:
    """Returns the arguments of `generate` that let no sample end early."""
    return {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}


ENGINES = {
    "hf": by_hf,
    "hf, old": by_hf,
    "generate": by_generate,
    "generate_batch": by_generate_batch,
    "vllm": by_vllm,
    "llama.cpp": by_llama_cpp,
}


def take_part(name: str, place: str, requests: Path) -> dict[str, Any]:
    """Loads an engine of a folder or an address, warms it up and replays the batches; returns its row."""
    batches = json.loads(requests.read_text())
    answer = ENGINES[name](place)
    answer(batches[0])
    begun, before = time.perf_counter(), cpu_seconds()
    tokens = sum(map(answer, batches))
    wall, cpu = time.perf_counter() - begun, cpu_seconds() - before
    samples = sum(one["n"] for batch in batches for one in batch)
    rates = {SAMPLES: samples / wall, TOKENS_A_SECOND: tokens / wall, CPU: cpu / samples}
    return {"engine": name, **rates, "samples": samples, "tokens": tokens}


def cpu_seconds() -> float:
    """Returns the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Writes rows in Markdown, the median of each engine's turns with the lowest and the highest."""
    lines = [("engine", *RATES, "samples", "tokens", "turns"), ("---",) * (len(RATES) + 4)]
    for name in dict.fromkeys(row["engine"] for row in rows):
        turns = [row for row in rows if row["engine"] == name]
        spread = (sorted(row[rate] for row in turns) for rate in RATES)
        rates = (f"{median(found):.3g} ({found[0]:.3g} to {found[-1]:.3g})" for found in spread)
        lines.append((name, *rates, str(turns[0]["samples"]), str(turns[0]["tokens"]), str(len(turns))))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def vllm_environment(python: str) -> dict[str, str]:
    """Returns what vLLM is started with on a CPU: all cores, Intel's OpenMP where its environment has it."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    found = {"VLLM_CPU_OMP_THREADS_BIND": cores, "VLLM_CPU_KVCACHE_SPACE": "2"}
    found |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    openmp = Path(python).absolute().parents[1] / "lib" / "libiomp5.so"
    return {**os.environ, **found} | ({"LD_PRELOAD": str(openmp)} if openmp.exists() else {})


def run_apart(name: str, given: argparse.Namespace, folder: str) -> dict[str, Any] | None:
    """Runs an engine in a process of its own; returns its row, None if it fails."""
    python = {"hf, old": given.old, "vllm": given.vllm}.get(name, sys.executable)
    command = [python, __file__, "--out", given.out, "--take-part", name, "--model"]
    with ExitStack() as stack:
        if name == "llama.cpp":
            from servers import running  # pyright: ignore[reportMissingImports]

            log = given.out / "llama.cpp.log"
            folder = stack.enter_context(running("xllamacpp", given.xllamacpp, given.gguf, log))
        environment = vllm_environment(python) if name == "vllm" else None
        done = subprocess.run(
            [*command, folder], stdout=subprocess.PIPE, text=True, check=False, env=environment
        )
    if done.returncode:
        print(f"{name}: ended with status {done.returncode}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Fills the table and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="known name or folder")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--gguf", metavar="FILE")
    for other in ("--old", "--vllm", "--xllamacpp"):
        parser.add_argument(other, metavar="PYTHON")
    parser.add_argument("--only", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--take-part", choices=ENGINES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    requests, kept = given.out / "requests.json", given.out / "rows.jsonl"
    if given.take_part:
        print(json.dumps(take_part(given.take_part, given.model, requests)))
        return
    from o1coder_gym.models.lookup import model_path
    from o1coder_gym.runs.journal import read_rows

    folder = str(model_path(given.model))
    given.out.mkdir(parents=True, exist_ok=True)
    if not requests.exists():
        record(folder, given.problems, requests)
    rows = [*read_rows(kept)]
    missing = {"hf, old": not given.old, "vllm": not given.vllm, "llama.cpp": not given.xllamacpp}
    turns: list[tuple[int, str]] = [*product(range(given.turns), given.only)]
    for turn, name in turns:
        if missing.get(name) or sum(row["engine"] == name for row in rows) > turn:
            continue
        if row := run_apart(name, given, folder):
            rows.append(row)
            kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if rows:
        print(table(rows))


if __name__ == "__main__":
    main()
