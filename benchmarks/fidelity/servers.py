"""Real servers on loopback, through `o1coder doctor`, `solve` and `bench`: one table.

    python benchmarks/fidelity/servers.py --out runs/servers --transformers PYTHON --vllm PYTHON
                                          --llama-cpp PYTHON --xllamacpp PYTHON --gguf FILE
                                          [--model tiny] [--dtype float32] [--problems starter]
                                          [--limit 12] [--tokens 256]

PYTHON is the interpreter of an environment that has the server: `transformers[serving]`, `vllm` (or its CPU
build), `llama-cpp-python[server]` (its own, in Python), `xllamacpp` (llama.cpp's own). A server that is not
given is left out; one that is in the table already is not started again. The first row is the same model in
this process. Greedy answers of one model and dtype should solve the same problems everywhere; a server that
continues no assistant turn is asked another way, and may differ. What a server said lies beside its row.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from o1coder_gym.models.lookup import model_path
from o1coder_gym.runs.journal import read_rows

COLUMNS = ("server", "version", "goes on", "token ids", "solved", "tokens", "errors", "solve")
PACKAGES = {
    "transformers": "transformers",
    "vllm": "vllm",
    "llama-cpp": "llama_cpp",
    "xllamacpp": "xllamacpp",
}
OF_GGUF = ("llama-cpp", "xllamacpp")
XLLAMACPP = """
import sys, threading, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, settings.port, settings.hostnames = sys.argv[1], int(sys.argv[2]), ["127.0.0.1"]
settings.n_ctx, settings.n_parallel = 16 * 4096, 16
server = xllamacpp.Server(settings)
threading.Event().wait()
"""


def command_of(server: str, python: str, model: str, dtype: str, port: int) -> list[str]:
    """Returns what starts a server of a model on loopback; a GGUF has the type that it was written in."""
    place = ["--host", "127.0.0.1", "--port", str(port)]
    if server == "transformers":
        # beside the interpreter, whose link must not be followed out of its environment
        return [str(Path(python).absolute().with_name("transformers")), "serve", *place, "--dtype", dtype]
    if server == "xllamacpp":
        return [python, "-c", XLLAMACPP, model, str(port)]
    module = "vllm.entrypoints.openai.api_server" if server == "vllm" else "llama_cpp.server"
    found = [python, "-m", module, *place, "--model", model]
    if server == "vllm":
        context = min(4096, json.loads((Path(model) / "config.json").read_text())["max_position_embeddings"])
        found += [
            "--dtype",
            dtype,
            "--max-model-len",
            str(context),
            "--enforce-eager",
            "--max-num-seqs",
            "16",
        ]
    return found


@contextmanager
def running(server: str, python: str, model: str, dtype: str, log: Path) -> Iterator[str]:
    """Starts a server, gives its address once it answers, and ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": cores}
    environment |= {"HF_HUB_OFFLINE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_of(server, python, model, dtype, port),
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}/v1"
    try:
        wait_for(f"{address}/models", process, log)
        yield address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # one that is computing may not listen
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 400) -> None:
    """Waits until a server answers.

    Raises:
        SystemExit: When it ends or does not.
    """
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


def o1coder(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command of this project."""
    program = [sys.executable, "-m", "o1coder_gym.cli.main", *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def measured(spec: str, out: Path, problems: Sequence[str], limit: int, tokens: int) -> dict[str, Any]:
    """Runs `doctor`, `solve` and `bench` with a policy; returns the row of the table."""
    row: dict[str, Any] = {"goes on": "", "token ids": ""}
    if spec.startswith("openai:"):
        abilities = json.loads(o1coder("doctor", spec, "--json").stdout or "{}")
        row |= {"goes on": abilities.get("continuation") or "no", "token ids": abilities.get("tokens")}
    solved = o1coder("solve", *problems, "--policy", spec, "--agent", "greedy", "--tokens", tokens)
    row["solve"] = "ended" if solved.returncode == 0 else solved.stderr.strip()[-200:]
    agents = ("--agent", "greedy", "--agent", "best_of_n")
    folder = out / f"bench-{time.time_ns()}"
    limits = ("--limit", limit, "--tokens", tokens)
    bench = o1coder("bench", *problems, *limits, "--policy", spec, *agents, "--out", folder)
    if bench.returncode:
        return row | {"solved": "", "tokens": "", "errors": bench.stderr.strip()[-300:]}
    rows = [*read_rows(folder / "results.jsonl")]
    counted = {name: sum(one["solved"] for one in rows if one["agent"] == name) for name in agents[1::2]}
    row["solved"] = ", ".join(f"{name} {count} of {limit}" for name, count in counted.items())
    row["tokens"] = sum(one["usage"]["tokens"] for one in rows)
    return row | {"errors": sum(bool(one["error"]) for one in rows)}


def own_problems(out: Path, limit: int) -> str:
    """Writes so many of the tiny model's problems; returns the file."""
    from o1coder_gym.experiments.micro.problems import micro_rows, write_rows

    write_rows(micro_rows({"test": limit}), out / "micro.jsonl")
    return str(out / "micro.jsonl")


def version_of(python: str, package: str) -> str:
    """Returns the version of a package in another environment."""
    names = {"vllm": ("vllm", "vllm-cpu"), "llama_cpp": ("llama-cpp-python",)}.get(package, (package,))
    lines = "from importlib.metadata import version, packages_distributions\nimport sys\n"
    lines += (
        "names = packages_distributions().get(sys.argv[1], sys.argv[2:])\nprint(names[0], version(names[0]))"
    )
    asked = [python, "-c", lines, package, *names]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Writes rows in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    lines += [tuple(str(row.get(name, "")) for name in COLUMNS) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Fills the table and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="tiny", help="known name or folder")
    parser.add_argument("--dtype", default="float32", help="of weights")
    parser.add_argument("--problems", help="set or file; the tiny model's own by default")
    parser.add_argument("--gguf", help="file of the same model for llama.cpp")
    parser.add_argument("--limit", type=int, default=12, help="problems")
    parser.add_argument("--tokens", type=int, default=256, help="budget of a problem")
    for name in PACKAGES:
        parser.add_argument(f"--{name}", metavar="PYTHON")
    given = vars(parser.parse_args())
    out, limit = given["out"], given["limit"]
    out.mkdir(parents=True, exist_ok=True)
    problems = ("--problems", given["problems"] or own_problems(out, limit))
    dtype, tokens = given["dtype"], given["tokens"]
    folder = str(model_path(given["model"]))
    kept = out / "rows.jsonl"
    rows = [*read_rows(kept)]
    done = {row["server"] for row in rows}
    for server in ("in process", *PACKAGES):
        python = given.get(server.replace("-", "_"))
        if server in done or not (python or server == "in process"):
            continue
        if python is None:
            version = version_of(sys.executable, "transformers")
            row = measured(f"hf:{folder}?dtype={dtype}", out, problems, limit, tokens)
        else:
            model = given["gguf"] if server in OF_GGUF else folder
            version = version_of(python, PACKAGES[server])
            with running(server, python, model, dtype, out / f"{server}.log") as address:
                spec = f"openai:{address}?tries=2&timeout_s=900#{model}"
                row = measured(spec, out, problems, limit, tokens)
        rows.append({"server": server, "version": version, **row})
        kept.write_text("".join(json.dumps(one) + "\n" for one in rows))
    print(table(rows))


if __name__ == "__main__":
    main()
