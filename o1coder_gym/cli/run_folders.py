"""Run folders of commands: their default names, runs without one, and what an interrupted run says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import notes


def default_folder(command: str) -> Path:
    """Returns runs/COMMAND-TIME, a new name each second."""
    return Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"


@contextlib.contextmanager
def optional_folder(out: Path | None, config: Mapping[str, Any], resume: bool) -> Iterator[RunFolder | None]:
    """Opens a run folder, or yields None where none is wanted."""
    if out is None:
        yield None
        return
    with RunFolder.open(out, config, resume=resume) as folder:
        yield folder


@contextlib.contextmanager
def resumable(out: Path | None) -> Iterator[None]:
    """Says how to go on when the run in `out` is interrupted.

    Raises:
        SystemExit: When it is, with status 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        how = "interrupted" if out is None else f"interrupted; go on with: --out {out} --resume"
        notes().print(how, soft_wrap=True)
        raise SystemExit(130) from None
