"""The attack corpus of the folder O1CODER_ATTACKS, by every kind of user and with layers missing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import o1coder_gym.sandbox
from o1coder_gym.sandbox.confinement.blueprint import LAYERS
from tests.sandbox.confinement.test_layers import CLOSED

ATTACKS = os.environ.get("O1CODER_ATTACKS", "")
UNPRIVILEGED = 60_000 + os.getpid() % 5_000
"""A user of this process alone: survivors are known by their user, and other suites may run beside."""
PACKAGE = Path(o1coder_gym.sandbox.__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ATTACKS, reason="O1CODER_ATTACKS is not set")]

ACCEPTED = {
    "pass": {"pass"},
    "fail": {"wrong_answer"},
    "error": {"runtime_error", "compile_error"},
    "timeout": {"timeout"},
    "memory": {"memory"},
}

WITHOUT_FILTER = {"55_signal_probe", "95_privilege_syscalls"}
"""They reach what only the system call filter keeps from them: process 1 of their own namespace, and
namespaces and keys of their own."""
WITHOUT_LAYERS = WITHOUT_FILTER | {
    *("39_steal_files", "93_write_outside", "97_devices", "81_disk_fill"),
    *("61_subprocess_shell", "63_posix_spawn_vfork", "57_fork_daemon", "59_thread_bomb", "83_fd_exhaust"),
    *("87_network_loopback", "89_leftover_plant", "90_leftover_find"),
}
"""Containment attacks: nothing but limits would contain them, so they are not even run."""

UNCONTAINED = {
    LAYERS: frozenset(),
    ("landlock", "seccomp"): frozenset(),
    ("namespaces",): WITHOUT_FILTER,
    (): WITHOUT_LAYERS,
}


def interpreter(user):
    """An interpreter of this version that `user` can run."""
    if user == os.geteuid():
        return sys.executable
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [
        os.path.realpath(sys.executable),
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ]
    for candidate in candidates:
        try:
            subprocess.run(
                [candidate, "-c", "import json"], check=True, capture_output=True, user=user, group=user
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip(f"no Python {version} that an unprivileged user can run")


@pytest.fixture(scope="module")
def open_copy():
    """A copy of the sandbox and the attacks that every user can read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    package = folder / "o1coder_gym"
    package.mkdir()
    shutil.copy(PACKAGE / "errors.py", package)
    for name in ("types", "sandbox"):
        shutil.copytree(PACKAGE / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ATTACKS, folder / "attacks")
    shutil.copy(Path(__file__).with_name("attack_corpus.py"), folder)
    subprocess.run(["chmod", "-R", "u+w,a+rX", folder], check=True)  # attacks may be read-only
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("layers", UNCONTAINED, ids=lambda layers: "+".join(layers) or "none")
@pytest.mark.parametrize("user", ["root", "unprivileged"])
def test_every_attack_gets_an_accepted_verdict(open_copy, user, layers):
    if user == "root" and os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    uid = 0 if user == "root" else os.geteuid() or UNPRIVILEGED
    # Packages that a strict umask closed to other users are not read without Landlock and seccomp.
    lacking = {"109_honest_numpy"} if CLOSED and uid == 0 and "seccomp" not in layers else set()
    command = [
        interpreter(uid),
        "attack_corpus.py",
        "o1coder_gym",
        "attacks",
        ",".join(layers),
        ",".join(UNCONTAINED[layers] | lacking),
    ]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=open_copy, env=environment, capture_output=True, text=True, user=uid, group=uid
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [problem for row in found["rows"] for problem in problems(row)] == []
    assert found["survivors"] == []


def problems(row):
    """What is wrong with the outcome of an attack."""
    header = row["header"]
    words = f"{header['expect']} {header.get('also-ok', '').partition('(')[0]}".split()
    accepted = set().union(*(ACCEPTED[word] for word in words))
    for outcome in row["outcomes"]:
        if outcome not in accepted:
            yield f"{row['name']}: {outcome}, not one of {sorted(accepted)}"
    if row["next"] != "pass":
        yield f"{row['name']}: the next program got {row['next']}"
    if row["file_left"]:
        yield f"{row['name']}: left a file"
