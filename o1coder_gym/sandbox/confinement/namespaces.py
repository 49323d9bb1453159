"""Linux namespaces and a new root: a machine of its own, with almost nothing in it."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from o1coder_gym.sandbox.confinement.kernel import detach, mount, prctl, syscall, unshare

_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PIDS, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_ALL = _NEW_MOUNTS | _NEW_CGROUP | _NEW_UTS | _NEW_IPC | _NEW_PIDS | _NEW_NETWORK

_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXECUTION, _NO_ATIME, _NO_DIR_ATIME = 1, 2, 4, 8, 1024, 2048
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _RELATIVE_ATIME = 32, 4096, 16384, 1 << 18, 1 << 21
_STATVFS_RELATIVE_ATIME = 4096
_DEVICES = ("null", "zero", "full", "random", "urandom")

_SITE = "/proc"
"""Where the new root is built: it is on every system, and nothing in it is shown."""

SCRATCH = "/tmp"
"""The one writable folder of the new root. Nothing of the old one is seen in it but what is shown there."""
SCRATCH_BYTES = 32 << 20
SCRATCH_INODES = 1024


class Root(NamedTuple):
    """What the new root shows.

    Attributes:
        readable: Paths of the old root, shown read-only at the same place.
        hidden: Folders below them that appear empty.
        packages: Paths shown read-only although a hidden folder holds them.
        owner: User id that owns the scratch folder; without privileges it is one's own.
    """

    readable: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: tuple[str, ...]
    owner: int


def probe(root: Root) -> str:
    """Tries all of it in a child that is thrown away.

    Returns:
        Empty if `enter` will work, else why not.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter(root)
        except OSError as error:
            os.write(writer, str(error).encode()[:4096])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        reason = pipe.read()
    os.waitpid(child, 0)
    return reason.decode()


def enter(root: Root) -> None:
    """Goes on as the first process of new namespaces, under a new root.

    The process that calls stays outside and ends when the one inside does.

    Raises:
        OSError: When the kernel refused; the process is then in an undefined place.
    """
    # A user namespace is the second choice: one's own id is the only one in it, so programs cannot get
    # another.
    if not _unshare_as_root():
        _unshare_as_user()
        root = root._replace(owner=os.geteuid())
    _become_first_process()
    _build(root)
    _pivot()


def _unshare_as_root() -> bool:
    """Leaves the old namespaces by privilege; returns whether there was the privilege."""
    if os.geteuid() != 0:
        return False
    try:
        unshare(_ALL)
    except PermissionError:
        return False  # root without CAP_SYS_ADMIN, as in default containers
    return True


def _unshare_as_user() -> None:
    """Leaves the old namespaces by way of a user namespace, in which one's own ids are all there is."""
    user, group = os.geteuid(), os.getegid()
    # The kernel takes a gid_map from the unprivileged only after `deny` was written to setgroups.
    unshare(_ALL | _NEW_USER)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def _become_first_process() -> None:
    """Forks into the new process namespace; the outer half waits for the inner one and ends with it."""
    # unshare(CLONE_NEWPID) leaves the caller where it is: only its children enter the new namespace.
    inner = os.fork()
    if inner:
        # The outer half must not hold the control socket: the trusted process tells a dead zygote by the end
        # of that socket.
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 0xFF)
    # From inside, the first process gets only signals that it handles; Python handles this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent()


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies; a change of user undoes it.

    Raises:
        OSError: When the system cannot.
    """
    set_death_signal, sigkill = 1, 9
    prctl(set_death_signal, sigkill)


def _build(root: Root) -> None:
    """Mounts what `root` says."""
    # Where / is shared, as systemd makes it, mounts in here would show up outside.
    mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _mount_memory(_SITE, "size=1m,mode=755,nr_inodes=4096", 0)
    # Before what is shown: the interpreter itself may lie below the scratch folder's place.
    islands = _mount_scratch(root)
    for path in root.readable:
        _show(path)
    # An empty file system covers each hidden folder. It stays writable until the mount points of the packages
    # below it are made.
    for path in filter(os.path.isdir, root.hidden):
        _mount_memory(_SITE + path, "size=64k,mode=755,nr_inodes=256", 0)
    for path in root.packages:
        _show(path)
    for name in _DEVICES:
        _show_device(f"/dev/{name}")
    os.symlink(SCRATCH, f"{_SITE}/dev/shm")  # the place of named semaphores, which thread pools want
    for path in root.hidden:
        if os.path.isdir(path):
            _set_read_only(_SITE + path)
    for island in islands:
        _set_read_only(island)


def _mount_scratch(root: Root) -> list[str]:
    """Mounts the scratch folder, and a small file system for each name in it that leads to what is shown.

    An interpreter or a package may lie below the scratch folder's place. The way to it is mounted, so that
    programs, who own the scratch folder, can neither write there nor rename it: the kernel refuses that for
    a mount point, and not for a folder above one.

    Returns:
        The places of these file systems, to be made read-only when they are filled.
    """
    scratch = _SITE + SCRATCH
    os.makedirs(scratch, exist_ok=True)
    options = f"size={SCRATCH_BYTES},nr_inodes={SCRATCH_INODES},mode=700,uid={root.owner}"
    _mount_memory(scratch, options, _NO_EXECUTION)
    shown = [
        path.split("/")[2] for path in (*root.readable, *root.packages) if path.startswith(f"{SCRATCH}/")
    ]
    islands = [f"{scratch}/{name}" for name in sorted({*shown}) if os.path.isdir(f"{SCRATCH}/{name}")]
    for island in islands:
        os.mkdir(island)
        _mount_memory(island, "size=64k,mode=755,nr_inodes=4096", 0)
    return islands


def _pivot() -> None:
    """Makes the site the root, read-only, and forgets the old one."""
    os.mkdir(f"{_SITE}/.old")
    os.chdir(_SITE)
    # Unlike chroot(2) this leaves no way back: the old root is unmounted, not merely out of sight.
    syscall("pivot_root", b".", b".old")
    os.chdir("/")
    detach("/.old")
    os.rmdir("/.old")
    _set_read_only("/")
    os.chdir(SCRATCH)


def _mount_memory(target: str, options: str, extra: int) -> None:
    """Mounts an empty file system in memory."""
    mount("tmpfs", target, "tmpfs", _NO_SUID | _NO_DEVICES | extra, options)


def _show(path: str) -> None:
    """Shows a path of the old root on the site, read-only; a link stays a link."""
    target = _SITE + path
    if os.path.lexists(target) and not os.path.isdir(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    _bind(path, target)
    _set_read_only(target)


def _show_device(path: str) -> None:
    """Shows a harmless device on the site: it can be written to, its permissions cannot."""
    if os.path.exists(path):
        os.makedirs(os.path.dirname(_SITE + path), exist_ok=True)
        _bind(path, _SITE + path)
        _set_read_only(_SITE + path)


def _bind(path: str, target: str) -> None:
    """Binds a file or folder to a place that is made for it."""
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    mount(path, target, None, _BIND | _RECURSIVE)


def _set_read_only(target: str) -> None:
    """Remounts read-only; flags that a user namespace has locked are kept, as the kernel demands."""
    current = os.statvfs(target).f_flag
    # A remount that would drop one of them is refused with EPERM.
    flags = current & (_NO_SUID | _NO_DEVICES | _NO_EXECUTION | _NO_ATIME | _NO_DIR_ATIME)
    if current & _STATVFS_RELATIVE_ATIME:
        flags |= _RELATIVE_ATIME
    mount(None, target, None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | flags)
