"""Puts the layers around a zygote, in the order that works; each may fail on its own."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from o1coder_gym.sandbox.confinement import (
    landlock,
    library,
    namespaces,
    privileges,
    rlimits,
    seccomp,
    traces,
)
from o1coder_gym.sandbox.confinement.blueprint import Blueprint, below
from o1coder_gym.sandbox.confinement.child_steps import MAX_DESCRIPTOR, Confinement
from o1coder_gym.sandbox.confinement.kernel import prctl

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ZYGOTE_PROCESSES = 4
_SHARED_USER_ROOM = 512
"""Processes and threads above those of the whole user, where candidates cannot be counted alone."""


class _Access(enum.Enum):
    """How programs of a user other than root read the library and the packages."""

    DIRECT = enum.auto()
    HELD = enum.auto()
    """By descriptors of their folders, for the way there is closed to them."""
    OF_ROOT = enum.auto()
    """As root without capabilities, for the files themselves are closed to others."""


class Surroundings(NamedTuple):
    """The confinement that a zygote achieved.

    Attributes:
        missing: Why a layer does not hold, by its name; those that hold are absent.
        confinement: The confinement that children apply to themselves.
        scratch: Folder that candidates may write to, None if there is none.
        first_process: Whether the zygote is the first process of its own namespace.
        watched: Whether programs could leave something in the kernel that goes with the zygote.
    """

    missing: dict[str, str]
    confinement: Confinement
    scratch: str | None
    first_process: bool
    watched: bool


def put_on(blueprint: Blueprint) -> Surroundings:
    """Confines the zygote as far as the machine allows, and returns what was achieved.

    Raises:
        SandboxError: When programs would run as root with nothing between them and root's files.
    """
    missing: dict[str, str] = {}
    address_space = rlimits.address_space()
    uid = privileges.private_uid() if os.geteuid() == 0 else None
    filters = "seccomp" in blueprint.layers and seccomp.available()
    # The order is forced. Namespaces come first: mounts and pivot_root are refused under Landlock and under
    # the filter. Landlock's rules name files by descriptors of the new root, opened while this user still
    # may.
    inside = _wanted(blueprint, "namespaces", missing) and _enter_namespaces(blueprint, uid, missing)
    rules = _landlock_rules(blueprint, inside, missing) if _wanted(blueprint, "landlock", missing) else None
    confined = filters and (inside or rules is not None)
    access = _Access.DIRECT if uid is None else _open_library(blueprint, inside, confined)
    # A change of user needs capabilities, so they are dropped behind it.
    switched = uid is not None and _switch_user(uid, access, not filters, inside, missing)
    _drop_privileges(inside, missing)
    # RLIMIT_NPROC counts all processes of the user: with an id of our own candidates are counted alone, else
    # room is left for what runs beside them.
    alone = switched or inside
    rlimits.bound_zygote(
        rlimits.THREADS + (_ZYGOTE_PROCESSES if alone else _threads_of_user() + _SHARED_USER_ROOM)
    )
    # Last but Landlock's own call: the filter refuses what all steps above need.
    filtered = _wanted(blueprint, "seccomp", missing) and _filter_calls(missing)
    if not inside and os.geteuid() == 0 and (rules is None or not filtered):
        from o1coder_gym.errors import SandboxError

        raise SandboxError(
            f"programs would run as root among root's files, for nobody else can read {sys.prefix}; "
            "open it to all, judge as another user, or let this machine give namespaces"
        )
    if rules is not None and filtered:
        landlock.restrict(rules)  # once for all; without the filter, children need a domain of their own
        rules = None
    return Surroundings(
        missing=missing,
        confinement=Confinement(
            filtered,
            rules,
            address_space,
            dies_with_parent=not inside,
            own_uid=os.geteuid() if os.getuid() != os.geteuid() and not filtered else None,
            forgets_keys=not filtered and alone and traces.keyrings_are_private(switched),
            kept_from=library.LOWEST_DESCRIPTOR if access is _Access.HELD else MAX_DESCRIPTOR,
        ),
        scratch=namespaces.SCRATCH if inside else None,
        first_process=inside,
        watched=inside and not filtered,
    )


def _wanted(blueprint: Blueprint, layer: str, missing: dict[str, str]) -> bool:
    """Whether a layer was asked for; notes it if not."""
    if layer not in blueprint.layers:
        missing[layer] = "not asked for"
    return layer in blueprint.layers


def _enter_namespaces(blueprint: Blueprint, uid: int | None, missing: dict[str, str]) -> bool:
    """Enters namespaces and a new root, if that works."""
    root = namespaces.Root(
        readable=blueprint.readable,
        hidden=blueprint.hidden,
        packages=blueprint.package_files,
        owner=os.geteuid() if uid is None else uid,
    )
    # In a child first: an attempt that fails half-way would leave this process in a place of neither kind.
    if reason := namespaces.probe(root):
        missing["namespaces"] = reason
        return False
    namespaces.enter(root)
    os.environ["HOME"] = os.environ["TMPDIR"] = namespaces.SCRATCH
    return True


def _open_library(blueprint: Blueprint, inside: bool, confined: bool) -> _Access:
    """Makes the library and the packages readable for another user; returns how.

    Args:
        blueprint: Says what has to be read.
        inside: Whether the new root already leads there.
        confined: Whether other layers bound what root's eyes would see.
    """
    for packages, files in ((blueprint.packages, blueprint.package_files), ({}, ())):
        folders = library.folders(packages.values())
        if library.for_all(folders):
            # The new root shows every file at its path, with ways to it that all may go; outside of it the
            # ways are those of the machine.
            if inside or all(map(privileges.open_to_all, (*blueprint.readable, *files))):
                return _Access.DIRECT
            if library.can_be_held(folders):
                library.hold(folders)
                return _Access.HELD
        # Reading as root exposes nothing more: the namespaces or Landlock bound what can be named at all.
        if confined:
            return _Access.OF_ROOT
    return _Access.DIRECT if inside else _Access.OF_ROOT


def _switch_user(uid: int, access: _Access, oversees: bool, inside: bool, missing: dict[str, str]) -> bool:
    """Switches to a user id of its own; returns whether that worked.

    Args:
        uid: The id to take.
        access: How the library is read under it.
        oversees: Whether children shall not be able to signal this process; they take `uid` themselves.
        inside: Whether there is a scratch folder, which belongs to who opens files.
        missing: Takes the reason why not.
    """
    of_root = access is _Access.OF_ROOT
    try:
        if of_root and inside:
            os.chown(namespaces.SCRATCH, os.geteuid(), os.getegid())
        if oversees and not of_root:
            privileges.switch_to_overseer(uid)
        else:
            privileges.switch_user(uid, keep_file_access=of_root)
    except OSError as error:  # a user namespace has no other user
        missing["privileges"] = f"still user {os.geteuid()}: {error}"
        return False
    return True


def _drop_privileges(inside: bool, missing: dict[str, str]) -> None:
    """Gives up all capabilities, and binds the lives of processes to each other."""
    try:
        privileges.drop_capabilities()
        seccomp.no_new_privileges()
        if inside:
            namespaces.die_with_parent()
        else:
            _adopt_orphans()
    except OSError as error:
        missing["privileges"] = str(error)


def _landlock_rules(blueprint: Blueprint, inside: bool, missing: dict[str, str]) -> int | None:
    """Prepares the rules for children; None if the kernel has no Landlock."""
    try:
        if inside:
            return landlock.ruleset(["/"], [namespaces.SCRATCH, *_DEVICES])
        visible = [*_without(blueprint.readable, blueprint.hidden), *blueprint.package_files]
        return landlock.ruleset(visible, _DEVICES)
    except OSError as error:
        missing["landlock"] = str(error)
        return None


def _filter_calls(missing: dict[str, str]) -> bool:
    """Installs the zygote's system call filter; returns whether it holds."""
    try:
        seccomp.install_base()
    except OSError as error:
        missing["seccomp"] = str(error)
        return False
    return True


def _without(paths: Iterable[str], hidden: tuple[str, ...]) -> Iterator[str]:
    """Yields `paths`, those above a hidden folder replaced by what else they contain."""
    is_hidden = below(hidden)
    for path in paths:
        if is_hidden(path):
            continue
        # Landlock only adds rights: what lies below a readable folder cannot be taken away, so its siblings
        # are named.
        if any(map(below([path]), hidden)) and os.path.isdir(path):
            yield from _without((entry.path for entry in os.scandir(path)), hidden)
        else:
            yield path


def _adopt_orphans() -> None:
    """Has processes that a candidate leaves behind become children of the zygote."""
    # Else they would go to process 1 of the machine, where nobody kills them.
    set_child_subreaper = 36
    prctl(set_child_subreaper, 1)


def _threads_of_user() -> int:
    """Returns the number of threads that run under this user id; 0 where that cannot be read."""
    count = 0
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status") as status:
                fields = dict(line.split(":", 1) for line in status if ":" in line)
        except OSError:
            continue  # ended meanwhile
        if int(fields["Uid"].split()[0]) == os.getuid():
            count += int(fields.get("Threads", "1"))
    return count
