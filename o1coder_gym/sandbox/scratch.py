"""The folder that candidates may write to, and making sure that nothing of them is left there."""

from __future__ import annotations

import itertools
import os
import stat

_MODE = 0o700


def sweep(folder: str) -> bool:
    """Empties a folder and resets its own mode and times.

    Works on what defeats ``shutil.rmtree``: folders that cannot be listed, chains thousands deep.

    Returns:
        Whether the folder is empty and as it was.
    """
    try:
        if stat.S_IMODE(os.stat(folder).st_mode) != _MODE:
            os.chmod(folder, _MODE)
        if os.listdir(folder):
            _empty(folder)
        if os.stat(folder).st_mtime_ns:
            os.utime(folder, (0, 0))
    except OSError:
        return False
    return True


def _empty(folder: str) -> None:
    """Removes all below `folder`: pulls the inside of each folder up, so that no path grows long."""
    names = (f".{number}.swept" for number in itertools.count())
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, _MODE)
            for inside in list(os.scandir(entry.path)):
                if inside.is_dir(follow_symlinks=False):
                    os.chmod(inside.path, _MODE)
                os.rename(inside.path, os.path.join(folder, next(names)))
            os.rmdir(entry.path)
