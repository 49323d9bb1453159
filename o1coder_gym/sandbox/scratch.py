"""The folder in which a candidate starts, and making sure that nothing of it is left there."""

from __future__ import annotations

import itertools
import os
import stat
import warnings

PRIVATE = 0o700
"""Mode of a scratch folder that candidates may write to."""
SEALED = 0o555
"""Mode of a folder in which candidates only start."""


def sweep(folder: str, mode: int) -> bool:
    """Empties a folder and resets its own mode and times.

    Works on what defeats ``shutil.rmtree``: folders that cannot be listed, chains thousands deep.

    Args:
        folder: Where to sweep.
        mode: Permissions that the folder shall have afterwards.

    Returns:
        Whether the folder is empty and as it was.
    """
    try:
        if stat.S_IMODE(os.stat(folder).st_mode) != mode:
            os.chmod(folder, mode)
        if os.listdir(folder):
            os.chmod(folder, PRIVATE)
            _empty(folder)
            os.chmod(folder, mode)
        if os.stat(folder).st_mtime_ns:
            os.utime(folder, (0, 0))
    except OSError:
        return False
    return True


def remove(folder: str) -> None:
    """Removes a folder with all that a candidate may have put there; what resists is left."""
    try:
        os.chmod(folder, PRIVATE)
        _empty(folder)
        os.rmdir(folder)
    except OSError as error:
        warnings.warn(f"{folder} could not be removed: {error}", ResourceWarning, stacklevel=2)


def _empty(folder: str) -> None:
    """Removes all below `folder`: pulls the inside of each folder up, so that no path grows long."""
    names = (f".{number}.swept" for number in itertools.count())
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, PRIVATE)
            for inside in list(os.scandir(entry.path)):
                if inside.is_dir(follow_symlinks=False):
                    os.chmod(inside.path, PRIVATE)
                os.rename(inside.path, os.path.join(folder, next(names)))
            os.rmdir(entry.path)
