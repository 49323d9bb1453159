"""vLLM's OpenAI server on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving_vllm(
    model: Path, name: str, log: Path, *flags: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Runs a server while the context lasts; yields its process and its URL.

    Args:
        model: Folder.
        name: What it is served as.
        log: Where the server writes.
        flags: Of the server, beside those that make it small.
        environment: Beside that of this process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", str(model), "--served-model-name", name]
    command += ["--dtype", "float32", "--max-num-seqs", "16", "--enforce-eager", *flags]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": cores}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **small, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield process, f"http://127.0.0.1:{port}/v1"
    finally:
        stop(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kills the server and the processes that it started; they are a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
