"""What the sandbox says of itself on this machine, and what it gives with layers missing."""

import ctypes
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from o1coder_gym.errors import SandboxError, UsageError
from o1coder_gym.sandbox import Judge, SandboxReport, SandboxWarning
from o1coder_gym.sandbox import judge as judging
from o1coder_gym.sandbox.confinement import library
from o1coder_gym.sandbox.confinement.blueprint import LAYERS
from o1coder_gym.sandbox.confinement.kernel import NUMBERS, numbers
from o1coder_gym.sandbox.confinement.scratch import sweep
from o1coder_gym.sandbox.report import CANARIES, DESCRIPTIONS
from o1coder_gym.sandbox.workers.drawing import draw
from o1coder_gym.types import CallTest, Limits, Outcome, Submission

ADD = Submission("def add(a, b):\n    return a + b\n", "add", (CallTest("[1, 2]", "3"),))
CLOSED = os.geteuid() == 0 and not Path(np.__file__).stat().st_mode & 0o004
"""Whether packages are closed to other users, as a strict umask leaves them: then programs read as root
without capabilities under Landlock and seccomp, and lack the packages elsewhere, as the report says."""
ALWAYS_HELD = {"memory", "threads"}
"""Guarantees that need no layer: resource limits give them."""


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        yield


def report_on(layers):
    with Judge(1, layers=layers) as judge:
        assert judge.evaluate([ADD])[0].outcome is Outcome.PASS
        return judge.report()


def children():
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return sorted(listing.read_text().split())


def need(report, layer):
    if layer in report.missing_layers:
        pytest.skip(f"no {layer} on this machine: {report.missing_layers[layer]}")


@pytest.mark.usefixtures("quiet")
def test_with_all_layers_every_guarantee_holds():
    report = report_on(LAYERS)
    for layer in LAYERS:
        need(report, layer)
    assert report.full
    assert report.broken == ()
    assert set(report.guarantees) == set(DESCRIPTIONS)


def test_landlock_and_seccomp_hold_every_guarantee_without_namespaces():
    report = report_on(("landlock", "seccomp"))
    need(report, "landlock")
    need(report, "seccomp")
    assert report.broken == ()
    assert not report.full
    assert report.missing_layers["namespaces"] == "not asked for"


def test_namespaces_alone_hide_files_and_leave_nothing():
    report = report_on(("namespaces",))
    need(report, "namespaces")
    kept = {"process_table", "foreign_files", "system_files", "leftovers"}
    assert not set(report.broken) & (kept | ALWAYS_HELD)


def test_seccomp_alone_keeps_programs_from_acting_on_others():
    report = report_on(("seccomp",))
    need(report, "seccomp")
    kept = {"network", "processes", "programs", "signals", "privileges"}
    assert not set(report.broken) & (kept | ALWAYS_HELD)


def test_without_layers_canaries_notice_what_is_lost():
    report = report_on(())
    assert not set(report.broken) & ALWAYS_HELD
    assert {"network", "processes", "programs", "process_table", "foreign_files"} <= set(report.broken)
    assert set(report.missing_layers) >= set(LAYERS)


@pytest.mark.usefixtures("quiet")
@pytest.mark.skipif(os.geteuid() != 0, reason="the tests do not run as root")
@pytest.mark.parametrize(
    "layers",
    [LAYERS, ("landlock", "seccomp"), ("namespaces",), ("landlock",), ("seccomp",), ()],
    ids="+".join,
)
def test_programs_of_root_are_another_user_who_cannot_touch_the_zygote(layers):
    reads_as_root = CLOSED and {"landlock", "seccomp"} <= {*layers}
    code = (
        "import os, resource\n"
        "def tried():\n    import colorsys, email.mime.text, encodings.cp1252\n    done = []\n"
        "    for process in {os.getppid() or 1, 1}:\n        for action in (\n"
        "            lambda: os.kill(process, 0),\n"
        "            lambda: resource.prlimit(process, resource.RLIMIT_CPU, (60, 60)),\n        ):\n"
        "            try: action(); done.append(process)\n            except OSError: pass\n"
        "    real, effective, saved = os.getresuid()\n"
        f"    return real != 0 and effective == saved == (0 if {reads_as_root} else real), done\n"
    )
    with Judge(1, layers=layers) as judge:
        (verdict,) = judge.evaluate([Submission(code, "tried", (CallTest("[]", "(True, [])"),))])
        if "privileges" in judge.report().missing_layers:
            pytest.skip("no other user on this machine")
    assert verdict.outcome is Outcome.PASS, verdict


@pytest.mark.parametrize(
    "call",
    [
        "one.send(b'x', socket.MSG_OOB)",
        "one.send(b'xy', socket.MSG_OOB | socket.MSG_DONTWAIT)",
        "other.recv(1, socket.MSG_OOB)",
        "other.recv_into(bytearray(1), 1, socket.MSG_OOB | socket.MSG_PEEK)",
    ],
)
def test_streams_carry_nothing_out_of_band(call):
    code = (
        "import errno, socket\n"
        "def tried():\n    one, other = socket.socketpair()\n    one.send(b'7')\n"
        f"    try: {call}\n    except OSError as error: return error.errno == errno.EPERM, other.recv(9)\n"
    )
    with Judge(1) as judge:
        if "seccomp" in judge.report().missing_layers:
            pytest.skip("this machine has no system call filters")
        (verdict,) = judge.evaluate([Submission(code, "tried", (CallTest("[]", "(True, b'7')"),))])
    assert verdict.outcome is Outcome.PASS, verdict


def test_the_library_is_found_where_it_is_held_open(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/a/lib/python3", "/a/lib/python3/lib-dynload", "/ab"])
    assert library.folders(["/a/lib/python3/site", "/elsewhere"]) == ("/a/lib/python3/site", "/elsewhere")
    places = {"/a/lib": "/proc/self/fd/60"}
    assert library.moved("/a/lib/python3", places) == "/proc/self/fd/60/python3"
    assert library.moved("/a/lib", places) == "/proc/self/fd/60"
    assert library.moved("/a/library", places) == "/a/library"
    here = Path(library.__file__).parent
    assert library.can_be_held([str(here)]) is (here.stat().st_mode & 0o005 == 0o005)
    assert not library.can_be_held([str(here)] * (library.MOST_FOLDERS + 1))


def test_what_is_required_is_given_or_refused():
    with pytest.raises(SandboxError, match=r"network .*broken by a canary"):
        Judge(1, layers=(), require=("network",))
    with pytest.raises(SandboxError, match=r"seccomp \(not asked for\)"):
        Judge(1, layers=(), require="full")
    Judge(1, layers=(), require=("memory", "threads")).close()


@pytest.mark.parametrize("broken", ["foreign_files", "system_files"])
def test_without_asking_no_program_runs_among_open_files(monkeypatch, broken):
    found = SandboxReport({name: name != broken for name in DESCRIPTIONS}, {})
    monkeypatch.setattr(judging, "_reports", {})
    monkeypatch.setattr(judging, "examine", lambda *_: found)
    program = Submission("def f(): return 1", "f", (CallTest("[]", "1"),))
    with (
        Judge(1) as judge,
        pytest.warns(SandboxWarning, match=broken),
        pytest.raises(SandboxError, match=f"O1CODER_SANDBOX_WITHOUT={broken}"),
    ):
        judge.evaluate([program])
    for allowing in (Judge(1, without=(broken,)), Judge(1, require=()), Judge(1, require=("memory",))):
        with allowing as judge:
            assert judge.evaluate([program])[0].outcome is Outcome.PASS
    monkeypatch.setenv("O1CODER_SANDBOX_WITHOUT", f"network,{broken}")
    with Judge(1) as judge:
        assert judge.evaluate([program])[0].outcome is Outcome.PASS


def test_a_refused_judge_leaves_no_process():
    before = children()
    with pytest.raises(SandboxError):
        Judge(1, layers=("seccomp",), require="full")
    assert children() == before


@pytest.mark.parametrize("arguments", [{"layers": ("moat",)}, {"require": ("moat",)}, {"require": "moat"}])
def test_unknown_names_are_refused(arguments):
    with pytest.raises(UsageError, match="moat"):
        Judge(1, **arguments)


def test_a_reduced_sandbox_warns_loudly():
    report = SandboxReport({"network": False, "memory": True}, {"seccomp": "no such call"})
    with pytest.warns(SandboxWarning, match="REDUCED PROTECTION.*network.*no seccomp: no such call"):
        report.warn()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SandboxReport({"network": True}, {}).warn()


def test_a_report_reads_well():
    lines = SandboxReport(
        dict.fromkeys(DESCRIPTIONS, True) | {"network": False}, {"landlock": "too old"}
    ).lines()
    assert "network: BROKEN (no sockets)" in lines
    assert "layer landlock: too old" in lines
    assert "layer seccomp: on" in lines


def test_what_programs_cannot_import_is_part_of_the_report():
    report = SandboxReport({"network": True}, {}, {"numpy": "ImportError: no numpy", "this": ""})
    assert report.protects
    assert not report.full
    assert report.lines()[-2:] == [
        "programs import numpy: ImportError: no numpy",
        "programs import this: yes",
    ]
    assert report.summary == (
        "layers in force: namespaces, landlock, seccomp; programs cannot import numpy: ImportError: no numpy"
    )
    with pytest.warns(SandboxWarning, match="LACK WHAT THEY SHOULD IMPORT"):
        report.warn()
    with pytest.raises(SandboxError, match="numpy"):
        report.demand({"full"})
    report.demand({"network"})


def test_a_report_says_in_one_line_what_is_missing():
    report = SandboxReport({"network": False}, dict.fromkeys(LAYERS, "not here"))
    assert report.summary.startswith(
        "layers in force: none; not guaranteed: network; no namespaces: not here"
    )
    assert SandboxReport({"network": True}, {}).summary.endswith("; nothing is missing")


@pytest.mark.parametrize(("mode", "readable"), [(0o644, True), (0o640, False), (0o600, False)])
def test_files_that_a_mask_closed_to_others_are_noticed(tmp_path, mode, readable):
    tmp_path.chmod(0o755)
    (tmp_path / "__init__.py").touch()
    (tmp_path / "__init__.py").chmod(mode)
    assert library.for_all([str(tmp_path)]) is readable
    tmp_path.chmod(0o750)
    assert not library.for_all([str(tmp_path)])


def test_every_canary_sings_outside_the_sandbox(tmp_path):
    """A canary that could not get out even without a sandbox would prove nothing."""
    bait = tmp_path / "bait"
    bait.touch()
    escaped = {}
    for name in ("network", "processes", "signals", "process_table", "foreign_files"):
        namespace = {}
        exec(CANARIES[name].replace("BAIT_PATH", str(bait)), namespace)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # forking beside threads
            escaped[name] = not namespace["probe"]()
    assert escaped == dict.fromkeys(escaped, True)


def test_system_call_numbers_are_those_of_this_machine():
    library = ctypes.CDLL(None)
    for name in ("getpid", "getppid", "getuid", "gettid"):
        assert library.syscall(NUMBERS[name]) == getattr(library, name)()
    assert numbers("read 0 63", "aarch64") == {"read": 63}
    assert numbers("open 2 -", "aarch64") == {}
    assert numbers("read 0 63", "riscv64") == {}


def test_candidates_see_no_installed_packages_but_those_named():
    hidden = draw(LAYERS, ()).hidden
    code = (
        "def found(names):\n    import importlib\n    seen = []\n    for name in names:\n"
        "        try:\n            importlib.import_module(name); seen.append(name)\n"
        "        except (ImportError, PermissionError): pass\n    return seen\n"
    )
    for layers in (LAYERS, ()):
        found = [] if CLOSED and not layers else ["numpy"]
        test = CallTest("[['pytest', 'o1coder_gym', 'numpy', 'supervisor']]", repr(found))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SandboxWarning)
            with Judge(1, layers=layers) as judge:
                (verdict,) = judge.evaluate([Submission(code, "found", (test,), Limits(cpu_s=5.0))])
                told = judge.report().imports
        assert verdict.outcome is Outcome.PASS, (layers, verdict, hidden)
        assert bool(told["numpy"]) is not bool(found), told


@pytest.mark.parametrize("depth", [0, 3, 1500])
def test_sweeping_removes_what_resists(tmp_path, depth):
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    (scratch / "file").write_text("x")
    (scratch / "link").symlink_to("/")
    dark = scratch / "dark"
    dark.mkdir()
    (dark / "inside").write_text("x")
    dark.chmod(0o300)
    here = os.open(scratch, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    scratch.chmod(0o100)
    assert sweep(str(scratch))
    assert os.listdir(scratch) == []
    assert os.stat(scratch).st_mtime_ns == 0
    assert os.stat(scratch).st_mode & 0o777 == 0o700
    assert os.listdir("/")
