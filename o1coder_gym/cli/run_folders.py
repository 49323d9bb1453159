"""Run folders of commands: their default names, and what an interrupted run says."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.runs.progress import notes

_RUNS = Path("runs")


def run_folder(command: str, out: Path | None, *, resume: bool) -> Path:
    """Returns the given folder, else runs/COMMAND-TIME, or runs/COMMAND-TIME-2 and so on if it is there.

    Raises:
        UsageError: When a run is to be resumed and none is named; names the last one of this command.
    """
    if out is not None:
        return out
    if resume:
        last = max(_RUNS.glob(f"{command}-[0-9]*"), default=None)
        which = f", e.g. the last one here: --out {last}" if last else ""
        raise UsageError(f"--resume continues the run in --out; name its folder{which}")
    first = _RUNS / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(folder for folder in chain([first], others) if not folder.exists())


def check_free(folder: Path, *, resume: bool) -> None:
    """Refuses a folder that a run could not be begun in, before anything is computed; makes nothing.

    Raises:
        UsageError: When it, or the folder that it would be made in, cannot be written, or when it holds
            something and no run is to be resumed.
    """
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"--out {folder}: {nearest} is not a writable folder")
    if nearest == folder and not resume and any(folder.iterdir()):
        raise UsageError(f"--out {folder} is not empty; --resume continues a run")


@contextlib.contextmanager
def resumable(out: Path | None) -> Iterator[None]:
    """Prints how to continue when the run in `out` is interrupted.

    Raises:
        SystemExit: When it is, with status 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        begun = out is not None and out.exists()
        how = f"interrupted; continue with: --out {out} --resume" if begun else "interrupted"
        notes().print(how, soft_wrap=True)
        raise SystemExit(130) from None
