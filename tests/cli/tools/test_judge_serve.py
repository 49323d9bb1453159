"""`o1coder judge serve` as a process: bad input of every size, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.command_line import call
from tests.crowd import crowd

PRINT = {"code": "print(input())", "language": "python", "stdin": "5"}
SLEEP = {"code": "import time\ntime.sleep(1)", "language": "python"}


class Service:
    """A server of its own, with a folder for temporary files of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.log = folder / "log"
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        environment.pop("O1CODER_API_KEY", None)
        words = ["judge", "serve", "--port", "0", "--workers", "2", "--waiting", "32"]
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "o1coder_gym.cli.main", *words]
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        while (found := re.search(r"running on http://127.0.0.1:(\d+)", self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def holds(self) -> tuple[int, set[str], list[str]]:
        """Open files, child processes, temporary files."""
        files = os.listdir(f"/proc/{self.process.pid}/fd")
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return (
            len(files),
            {pid for one in children for pid in one.read_text().split()},
            sorted(map(str, self.folder.rglob("*"))),
        )

    def settled(self, before: tuple[int, set[str], list[str]]) -> bool:
        """Whether it comes back to holding no more than before; a zygote may have been replaced."""
        deadline = time.monotonic() + 60
        while (found := self._more_than(before)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return not found

    def _more_than(self, before: tuple[int, set[str], list[str]]) -> bool:
        files, children, temporary = self.holds()
        held = files > before[0] or len(children) > len(before[1]) or set(temporary) - set(before[2])
        return bool(held) or httpx.get(f"{self.url}/health").json()["waiting"] > 0


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("service"))
    assert httpx.post(f"{service.url}/run_code", json=PRINT, timeout=60).json()["status"] == "Success"
    yield service
    service.process.kill()
    service.process.wait()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_refused_unread(service, chunked):
    before = service.holds()
    block = b" " * (1 << 20)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {100 << 20}"
        connection.sendall(f"POST /judge HTTP/1.1\r\nHost: x\r\n{size}\r\n\r\n".encode())
        sent = 0
        try:
            while sent < 100:
                connection.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                sent += 1
        except ConnectionError:  # it has hung up
            pass
        assert sent < 100 or connection.recv(16).startswith(b"HTTP/1.1 413")
    assert service.settled(before)


def test_a_thousand_requests_at_once_are_served_or_told_to_come_again(service):
    before = service.holds()
    found = crowd(service.port, "/run_code", b'{"code": "print(1)", "language": "python"}')
    assert set(found) <= {b"200", b"429"}  # how many come too soon depends on the machine
    assert found[b"200"] >= 32
    assert service.settled(before)


def test_who_hangs_up_leaves_nothing_behind(service):
    before = service.holds()
    request = httpx.Request("POST", f"{service.url}/run_code", json=SLEEP)
    head = f"POST /run_code HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request.content)}\r\n\r\n"
    for cut in (head.encode() + request.content, head.encode() + request.content[:9], head.encode()[:30]):
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", service.port)) as connection:
                connection.sendall(cut)
    assert service.settled(before)
    assert httpx.get(f"{service.url}/health").json() == {"status": "ok", "waiting": 0}
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("headers", [{"content-length": "many"}, {"content-length": "-1"}])
def test_a_length_that_is_none_is_a_bad_request(service, headers):
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(
            f"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Length: {headers['content-length']}\r\n\r\n".encode()
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 400")


def test_a_page_in_a_browser_is_not_served_without_a_key(service):
    headers = {"origin": "https://example.org", "content-type": "text/plain"}
    assert httpx.post(f"{service.url}/run_code", json=PRINT, headers=headers).status_code == 403


def test_it_ends_with_all_its_processes(tmp_path):
    service = Service(tmp_path)
    _, children, _ = service.holds()
    assert children
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) in (0, -signal.SIGTERM)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not list(service.folder.iterdir())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_served_with_a_key_alone(host, monkeypatch):
    monkeypatch.delenv("O1CODER_API_KEY", raising=False)
    done = call("judge", "serve", "--host", host)
    assert done.exit_code == 2
    assert f"usage: --host {host}: set O1CODER_API_KEY to serve other machines\n" == done.stderr
