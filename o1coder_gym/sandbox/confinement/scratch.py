"""The folder that candidates may write to, and making sure that nothing of them is left there."""

from __future__ import annotations

import itertools
import os
import stat

_MODE = 0o700


def sweep(folder: str) -> bool:
    """Empties a folder and resets its own mode and times.

    Works on what defeats ``shutil.rmtree``: folders that cannot be listed, chains thousands deep. What is
    mounted in the folder stays: programs can neither write there nor move it.

    Returns:
        Whether the folder is empty and as it was.
    """
    try:
        if stat.S_IMODE(os.stat(folder).st_mode) != _MODE:
            os.chmod(folder, _MODE)
        if os.listdir(folder):
            _empty(folder, os.stat(folder).st_dev)
        # A time of change would tell the next program that another one has been here.
        if os.stat(folder).st_mtime_ns:
            os.utime(folder, (0, 0))
    except OSError:
        return False
    return True


def _empty(folder: str, device: int) -> None:
    """Removes all below `folder` on its device: pulls the inside of each folder up, so that no path grows."""
    # A candidate may have taken such a name: where a rename then fails, `sweep` returns False and the zygote
    # is replaced.
    names = (f".{number}.swept" for number in itertools.count())
    while entries := [entry for entry in os.scandir(folder) if _device(entry) == device]:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            # A folder of mode 0300 can be filled and not listed; its owner may open it again.
            os.chmod(entry.path, _MODE)
            for inside in list(os.scandir(entry.path)):
                if inside.is_dir(follow_symlinks=False):
                    os.chmod(inside.path, _MODE)
                os.rename(inside.path, os.path.join(folder, next(names)))
            os.rmdir(entry.path)


def _device(entry: os.DirEntry[str]) -> int:
    """Returns the device that an entry of a folder lies on; a mount point's is that of what is mounted."""
    return entry.stat(follow_symlinks=False).st_dev
