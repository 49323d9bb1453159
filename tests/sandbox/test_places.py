"""The judge where it is started in odd places and ways: each in a process of its own, on a numpy program."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

import pytest

from o1coder_gym.errors import SandboxError
from o1coder_gym.sandbox import Judge, SandboxWarning
from o1coder_gym.sandbox.confinement.blueprint import INTERPRETER_VARIABLES

PROJECT = Path(__file__).parents[2]
BESIDES = ("*.pyi", "tests", "__pycache__", "site-packages", "test", "idlelib", "ensurepip", "config-*")
"""What a copy of an interpreter or a package does without."""

SCRIPT = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import CallTest, Outcome, StdioTest, Submission
PROGRAM = '''
import numpy, sqlite3, threading
def total():
    threads = [threading.Thread(target=len, args=((),)) for _ in range(30)]
    for thread in threads: thread.start()
    return int(numpy.arange(4).sum())
'''
SLEEPER = "import time; time.sleep(0.05); print(int(input()) + 1)"
ALARM = "import signal; signal.signal(signal.SIGALRM, lambda *_: print(7)); "
ALARM += "signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()"
LISTING = "import os\\ndef seen(): return sorted(os.listdir('/tmp'))"
needed = [sys.base_prefix, numpy.__file__, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
needed = sorted({path.split("/")[2] for path in map(os.path.realpath, needed) if path.startswith("/tmp/")})
with Judge(1) as judge:
    report = judge.report()
    submissions = [Submission(PROGRAM, "total", (CallTest("[]", "6"),))] * 2
    submissions += [Submission(SLEEPER, "", (StdioTest("1\\n", "2\\n"),))]
    submissions += [Submission(ALARM, "", (StdioTest("", "7\\n"),))]
    if "namespaces" not in report.missing_layers:
        submissions += [Submission(LISTING, "seen", (CallTest("[]", repr(needed)),))]
    for verdict in judge.evaluate(submissions):
        assert verdict.outcome is Outcome.PASS, (verdict, report.summary)
    assert not any(report.imports.values()), report.summary
    print(report.summary)
"""
"""Judges programs that need a package, threads and a child's exit status; then looks into their /tmp."""


@pytest.fixture(scope="module")
def below_tmp():
    with tempfile.TemporaryDirectory(prefix="o1coder places ", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def venv(below_tmp):
    """A virtual environment below /tmp with a numpy of its own; what the judge needs is found elsewhere."""
    return make_venv(Path(sys.executable), below_tmp / "venv")


@pytest.fixture(scope="module")
def interpreter(below_tmp):
    """A copy of this interpreter below /tmp."""
    real = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    if real.parent.name != "bin" or library.parent.name != "lib":
        pytest.skip("an interpreter of another layout")
    home = below_tmp / "interpreter"
    copy(library, home / "lib" / library.name)
    for shared in library.parent.glob("libpython*.so*"):
        shutil.copy(shared, home / "lib", follow_symlinks=False)
    (home / "bin").mkdir()
    return Path(shutil.copy(real, home / "bin"))


def copy(folder, place):
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns(*BESIDES), symlinks=True)


def make_venv(python, folder, **options):
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, **options)
    packages = next(folder.glob("lib/python*/site-packages"))
    for numpy in (Path(np_folder()), Path(f"{np_folder()}.libs")):
        if numpy.is_dir():
            copy(numpy, packages / numpy.name)
    paths = {str(PROJECT), *(path for path in sys.path if path.endswith("-packages"))}
    (packages / "paths.pth").write_text("\n".join(paths))
    return folder / "bin" / "python"


def np_folder():
    import numpy

    return os.path.dirname(os.path.realpath(numpy.__file__))


def judge_with(python, *, start="", **environment):
    """Judges in a process of its own, executed after `start`; returns the summary of the sandbox's report."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **linker(), **environment}
    launcher = f"import os, resource, signal, sys\n{start}\nos.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", launcher, python, "-c", SCRIPT],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def linker(*folders):
    """Returns what this interpreter may need in its environment, with more folders of shared libraries."""
    needed = {name: os.environ[name] for name in INTERPRETER_VARIABLES if name in os.environ}
    paths = [*map(str, folders), *filter(None, [needed.get("LD_LIBRARY_PATH")])]
    return needed | ({"LD_LIBRARY_PATH": ":".join(paths)} if paths else {})


def summary_here():
    """Returns what the report of a judge in this process says."""
    with warnings.catch_warnings(), Judge(1) as judge:
        warnings.simplefilter("ignore", SandboxWarning)
        return judge.report().summary


def close_to_others(folder):
    """Takes from all files below a folder what a file mode mask of 077 takes."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)


IGNORE_AND_BLOCK_SIGNALS = """
for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
"""
LIFT_STACK_LIMIT = """
hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
"""
RAISE_STACK_LIMIT = """
hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
resource.setrlimit(resource.RLIMIT_STACK, (16 << 30 if hard == resource.RLIM_INFINITY else hard, hard))
"""
ONE_CORE_AND_NO_INPUT = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.close(0)"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("os.umask(0o027)", id="umask 027"),
        pytest.param("os.umask(0o077)", id="umask 077"),
        pytest.param(IGNORE_AND_BLOCK_SIGNALS, id="signals"),
        pytest.param(RAISE_STACK_LIMIT, id="large stack"),
        pytest.param(LIFT_STACK_LIMIT, id="unlimited stack"),
        pytest.param(ONE_CORE_AND_NO_INPUT, id="one core, no input"),
    ],
)
def test_how_the_judge_was_started_does_not_matter(start):
    assert judge_with(sys.executable, start=start, PYTHONPATH=str(PROJECT)) == summary_here()


def test_a_venv_below_tmp_keeps_its_packages_and_hides_its_neighbours(venv):
    assert judge_with(venv, HOME="/nonexistent") == summary_here()


def test_programs_cannot_touch_the_way_to_a_package_below_tmp(below_tmp, venv):
    attempt = """
import os, sys
def tried(way):
    done = []
    top = os.path.join("/tmp", way)
    for name, action in {
        "seen": lambda: open(f"{top}/secret").close(),
        "made": lambda: open(f"{top}/mine", "w").close(),
        "renamed": lambda: os.rename(top, "/tmp/other"),
        "removed": lambda: os.rmdir(top),
        "opened": lambda: os.chmod(top, 0o777),
        "replaced": lambda: os.rename("/tmp/own", top),
        "written": lambda: open(sys.modules["numpy"].__file__, "a").close(),
    }.items():
        try: action(); done.append(name)
        except OSError: pass
    return done
"""
    script = f"""
import sys, warnings
warnings.simplefilter("ignore")
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import CallTest, Submission
program = "import numpy, os; os.path.isdir('/tmp/own') or os.mkdir('/tmp/own')" + {attempt!r}
with Judge(1) as judge:
    if "namespaces" not in judge.report().missing_layers:
        test = CallTest({[below_tmp.name]!r}.__repr__(), "[]")
        zygotes = set()
        for _ in range(3):
            (verdict,) = judge.evaluate([Submission(program, "tried", (test,))])
            assert verdict.outcome.value == "pass", verdict
            zygotes.add(judge.pids)
        assert len(zygotes) == 1  # what is mounted in the scratch folder is nothing that was left behind
"""
    (below_tmp / "secret").write_text("x")
    subprocess.run([venv, "-c", script], check=True, cwd="/")


def test_shared_libraries_are_found_by_the_search_path(below_tmp):
    python = make_venv(Path(sys.executable), below_tmp / "linked")
    bundled = next(below_tmp.glob("linked/lib/python*/site-packages/numpy.libs"), None)
    if bundled is None:
        pytest.skip("this numpy brings no libraries of its own")
    libraries = bundled.rename(below_tmp / "some libraries")
    assert judge_with(python, **linker(libraries)) == summary_here()


def test_an_interpreter_below_tmp_that_only_its_user_can_read(below_tmp, interpreter):
    environment = linker(interpreter.parents[1] / "lib")
    python = make_venv(interpreter, below_tmp / "closed", env=environment)
    close_to_others(interpreter.parents[1])
    close_to_others(below_tmp / "closed")
    assert judge_with(python, **environment) == summary_here()


def test_what_programs_cannot_import_is_reported(monkeypatch, tmp_path):
    package = tmp_path / "o1coder_broken"
    package.mkdir()
    (package / "__init__.py").write_text("import o1coder_absent")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        pytest.warns(SandboxWarning, match="cannot import o1coder_broken: .*o1coder_absent"),
        Judge(1, packages=("o1coder_broken",)) as judge,
    ):
        report = judge.report()
    assert "o1coder_absent" in report.imports["o1coder_broken"]
    assert report.imports["the standard library"] == ""
    assert not report.full
    with pytest.raises(SandboxError, match="o1coder_broken"):
        Judge(1, packages=("o1coder_broken",), require="full")
