"""A process that forks one confined child per candidate; started by path, not imported by the gym.

``python -S -s zygote/main.py CONTROL_FD`` with a clean environment; a line with the blueprint comes by the
control socket. The zygote never holds a byte of a job: code, inputs and test code travel from the trusted
process to the children by descriptors that it only passes on.
"""

from __future__ import annotations

import _thread
import gc
import importlib
import json
import os
import signal
import sys
import types
from _socket import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from o1coder_gym.sandbox.confinement.blueprint import Blueprint
    from o1coder_gym.sandbox.zygote.server import Server

CONTROL = 3
"""File descriptor of the control socket, in the zygote only."""
NOWHERE = "/proc"
"""Where candidates without a scratch folder start: not even root can make a file there."""
RECURSION_LIMIT = 1020
"""Python's own limit, and the frames that lie below a candidate here."""
_THREAD_STACK_BYTES = 8 << 20
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


def main() -> None:
    """Sets the zygote up, announces its confinement, and serves jobs until the trusted process is gone."""
    # A fixed number: everything above it can be closed without asking which descriptors there are.
    os.dup2(int(sys.argv[1]), CONTROL, inheritable=False)
    # Descriptors that leak from the parent would be inherited by every candidate.
    os.closerange(CONTROL + 1, 1 << 16)
    control = socket(fileno=CONTROL)
    forget_heritage()
    link_package()
    # The hooks of `random` and `threading` would run in every child, for 0.4 ms: this process has one
    # thread, and a fixed seed makes verdicts repeatable.
    os.register_at_fork = lambda **hooks: None
    try:
        server = _set_up(control)
    except Exception as error:
        _announce(control, {"failed": f"{type(error).__name__}: {error}"})
        raise
    server.serve()
    os._exit(0)


def forget_heritage() -> None:
    """Undoes settings that this process inherits from the way its parent was started.

    Signals that a parent ignores or blocks, its file mode mask and its stack limit outlive exec. An ignored
    SIGCHLD takes away the children's exit statuses, a mask of 077 closes the new root to its programs, and a
    large stack limit is what each thread reserves of the address space.
    """
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _thread.stack_size(_THREAD_STACK_BYTES)


def link_package() -> None:
    """Makes this project's modules importable without running what the package itself imports."""
    sandbox = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    folders = {"o1coder_gym": os.path.dirname(sandbox), "o1coder_gym.sandbox": sandbox}
    for room in ("confinement", "values", "zygote"):
        folders[f"o1coder_gym.sandbox.{room}"] = os.path.join(sandbox, room)
    for name, folder in folders.items():
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def _unlink_package() -> None:
    """Takes this project's modules out of the reach of ``import``."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "o1coder_gym"]:
        del sys.modules[name]


def _set_up(control: socket) -> Server:
    """Builds all that children will inherit, and returns the confinement that was achieved."""
    from o1coder_gym.sandbox.confinement import layers
    from o1coder_gym.sandbox.confinement.blueprint import INTERPRETER_VARIABLES, Blueprint
    from o1coder_gym.sandbox.zygote import server as serving
    from o1coder_gym.sandbox.zygote import warm_up

    for name in INTERPRETER_VARIABLES:
        os.environ.pop(name, None)  # read when the interpreter started; programs need not see them
    blueprint = Blueprint.from_json(_receive_line(control))
    _preload(blueprint)
    surroundings = layers.put_on(blueprint)
    os.chdir(surroundings.scratch or NOWHERE)
    warm_up.run()
    gc.collect()
    # A collection in a child would write into the header of every object and so copy every page:
    # collected once here, then kept out of all later collections.
    gc.freeze()
    gc.disable()  # children enable it again
    # Modules stay alive by the functions that use them; only their names are gone, so a candidate imports
    # none of them.
    _unlink_package()
    _announce(control, {"missing": surroundings.missing})
    return serving.Server(control, surroundings, tuple(blueprint.packages))


def _preload(blueprint: Blueprint) -> None:
    """Imports what candidates will want, and makes the interpreter the one they expect."""
    for name in blueprint.preload:
        importlib.import_module(name)
    import _sitebuiltins
    import builtins
    import random
    import threading

    from o1coder_gym.sandbox.confinement.library import PackageFinder
    from o1coder_gym.sandbox.zygote import streams

    streams.prepare()
    random.seed(0)
    # Programs of contests call exit() and quit(), which `site` would have defined; it was left out by ``-S``.
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D")
    sys.meta_path.append(PackageFinder(blueprint.packages))
    # The folder of this script comes first on the path, and its modules would hide those of a program's own
    # imports.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]
    sys.argv[:] = ["solution.py"]
    sys.dont_write_bytecode = True
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.set_int_max_str_digits(0)  # contests have integers of many digits; their time is the program's own
    threading.stack_size = _thread.stack_size = _bounded_stack_size


_set_stack_size = _thread.stack_size
_MAX_THREAD_STACK_BYTES = 128 << 20
"""Programs ask for half a gigabyte by habit; a reservation counts as memory, and hardly any is used."""


def _bounded_stack_size(size: int = 0, /) -> int:
    """Stands for ``threading.stack_size``."""
    return _set_stack_size(min(size, _MAX_THREAD_STACK_BYTES))


def _receive_line(control: socket) -> str:
    """Reads the one line that the trusted process sends before its first request."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = control.recv(1 << 16)
        if not chunk:
            os._exit(0)
        line += chunk
    return line.decode()


def _announce(control: socket, message: dict[str, Any]) -> None:
    """Sends the one line of a zygote before its first job."""
    control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
