"""The judge over HTTP: verdicts, SandboxFusion's answers, and every way to be refused."""

import asyncio
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient

from o1coder_gym.adapters.judge_service import JudgeBounds, judge_app
from o1coder_gym.sandbox import ConcurrentJudge, SandboxWarning, default_judge
from o1coder_gym.types import CallTest, Submission
from tests.served import served

ADD = "def add(a, b):\n    return a + b"
CALL = {"kind": "call", "args": "[1, 2]", "expected": "3"}
SLOW = "import time\ntime.sleep(0.5)"


@pytest.fixture(scope="module")
def judge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        default_judge().report()
    with ConcurrentJudge() as judge:
        yield judge


@pytest.fixture(scope="module")
def client(judge):
    with TestClient(judge_app(judge), raise_server_exceptions=False) as client:
        yield client


def error_of(response):
    return response.status_code, response.json()["error"]["field"]


def test_verdicts_come_with_a_result_per_test(client):
    programs = [
        {"code": ADD, "entry_point": "add", "tests": [CALL, {**CALL, "expected": "4"}]},
        {"code": ADD, "tests": {"inputs": [[1, 2]], "outputs": [3], "fn_name": "add"}},
        {"code": ADD, "tests": {"inputs": [[1, 2]], "outputs": [3]}, "entry_point": "add"},
    ]
    response = client.post("/judge", json={"submissions": programs})
    first, second, third = response.json()["verdicts"]
    assert (first["outcome"], first["passed"], first["total"], first["decided"]) == (
        "wrong_answer",
        1,
        2,
        True,
    )
    assert [case["outcome"] for case in first["tests"]] == ["pass", "wrong_answer"]
    assert (second["outcome"], second["error"]) == (third["outcome"], third["error"]) == ("pass", "")


def test_undecided_verdicts_say_so(client):
    row = {"code": ADD, "entry_point": "add", "tests": []}
    (verdict,) = client.post("/judge", json={"submissions": [row]}).json()["verdicts"]
    assert (verdict["outcome"], verdict["decided"]) == ("no_tests", False)


@pytest.mark.parametrize(
    ("code", "stdin", "status", "run"),
    [
        ("print(int(input()) + 1)", "1\n", "Success", ("Finished", 0, "2\n")),
        ("print('hello')", None, "Success", ("Finished", 0, "hello\n")),
        ("raise ValueError('no')", None, "Failed", ("Finished", 1, "")),
        ("def", None, "Failed", ("Finished", 1, "")),
        ("while True: pass", None, "Failed", ("TimeLimitExceeded", None, "")),
    ],
)
def test_run_code_answers_as_sandbox_fusion_does(client, code, stdin, status, run):
    asked = {"code": code, "language": "python", "stdin": stdin, "run_timeout": 1, "compile_timeout": 1}
    answer = client.post("/run_code", json={**asked, "memory_limit_MB": 256, "files": {}}).json()
    result = answer["run_result"]
    assert answer["status"] == status
    assert (result["status"], result["return_code"], result["stdout"]) == run
    assert bool(result["stderr"]) == (status != "Success")


def test_an_answer_is_run_against_all_cases(client):
    cases = {"type": "stdin_stdout", "input": ["1 2", "3 4"], "output": ["3", "8"], "fn_name": None}
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    asked = {"completion": program, "config": {"language": "python", "provided_data": {"test_cases": cases}}}
    answer = client.post("/common_evaluate_batch", json=asked).json()
    assert (answer["accepted"], [test["passed"] for test in answer["tests"]]) == (False, [True, False])
    assert [test["exec_info"]["status"] for test in answer["tests"]] == ["Success", "Success"]
    cases["output"] = ["3", "7"]
    assert client.post("/common_evaluate_batch", json=asked).json()["accepted"] is True
    asked["completion"] = ""
    assert client.post("/common_evaluate_batch", json=asked).json()["accepted"] is False


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/judge", {}, "submissions"),
        ("/judge", {"submissions": []}, "submissions"),
        ("/judge", {"submissions": [{"code": ADD}]}, "submissions.0.tests"),
        ("/judge", {"submissions": [{"code": 1, "tests": [CALL]}]}, "submissions.0.code"),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": [CALL], "entry_point": "a b"}]},
            "submissions.0.entry_point",
        ),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": [CALL], "entry_point": "class"}]},
            "submissions.0.entry_point",
        ),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": [CALL], "limits": {"cpu_s": 1e9}}]},
            "submissions.0.limits.cpu_s",
        ),
        ("/judge", {"submissions": [{"code": ADD, "tests": [CALL], "mode": "x"}]}, "submissions.0.mode"),
        ("/judge", {"submissions": [{"code": ADD, "tests": [CALL]}] * 5}, "submissions"),
        ("/run_code", {"code": "1"}, "language"),
        ("/run_code", {"code": "1", "language": "cpp"}, "language"),
        ("/run_code", {"code": "1", "language": "python", "files": {"a": "YQ=="}}, "files"),
        ("/run_code", {"code": "1", "language": "python", "fetch_files": ["a"]}, "fetch_files"),
        ("/run_code", {"code": "1", "language": "python", "run_timeout": 0}, "run_timeout"),
        ("/judge", {"submissions": [{"code": ADD, "tests": [CALL]}]}, "submissions.0.tests"),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": []}, {"code": ADD, "tests": [7]}]},
            "submissions.1.tests",
        ),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": [CALL], "prelude": "def ("}]},
            "submissions.0.prelude",
        ),
        (
            "/judge",
            {"submissions": [{"code": ADD, "tests": [CALL], "prelude": "-" * 20_000 + "1"}]},
            "submissions.0.prelude",
        ),
        ("/judge", {"submissions": [{"code": ADD, "tests": ["1 == 1"]}]}, "submissions.0.tests"),
        (
            "/common_evaluate_batch",
            {"completion": "1", "config": {"provided_data": {"test_cases": 7}}},
            "config.provided_data.test_cases",
        ),
        ("/common_evaluate_batch", {"completion": "1", "config": {}}, "config.provided_data"),
        (
            "/common_evaluate_batch",
            {"completion": "1", "config": {"provided_data": {}, "extra": {"special_judge_program": "x"}}},
            "config.extra",
        ),
    ],
)
def test_a_bad_request_is_told_its_field(judge, path, body, field):
    with TestClient(judge_app(judge, JudgeBounds(programs=4))) as client:
        assert error_of(client.post(path, json=body)) == (400, field)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_what_is_no_json_object_is_a_bad_request(client, body):
    assert client.post("/judge", content=body).status_code == 400


def test_a_number_that_is_none_is_a_bad_request(client):
    nothing = '{"submissions": [{"code": "1", "tests": [], "limits": {"cpu_s": NaN}}]}'
    assert error_of(client.post("/judge", content=nothing)) == (400, "submissions.0.limits.cpu_s")
    long = '{"submissions": [{"code": "1", "tests": {"inputs": [[%s]], "outputs": [1], "fn_name": "f"}}]}'
    assert client.post("/judge", content=long.replace("%s", "9" * 5000)).status_code == 400


def test_a_length_that_is_no_number_is_a_bad_request(client):
    for length in ("many", "-1", "1e3", "9" * 5000):
        response = client.post("/judge", content=b"{}", headers={"content-length": length})
        assert error_of(response) == (400, "content-length")


def test_tests_that_fit_no_program_are_a_bad_request(client):
    response = client.post("/judge", json={"submissions": [{"code": ADD, "tests": [CALL]}]})
    assert response.status_code == 400
    assert "entry_point" in response.json()["error"]["message"]


LARGE = "def f():\n    return len(bytes(700 << 20)) * 0 + 3"
GRANTED = {"tests": [{"kind": "call", "args": "[]", "expected": "3"}], "entry_point": "f"}


@pytest.mark.parametrize(
    ("meta", "status", "outcome"),
    [
        ({}, 200, "memory"),
        ({"memory_bytes": 1 << 30}, 200, "pass"),
        ({"cpu_s": 121}, 400, "field 'meta.cpu_s'"),
        ({"memory_bytes": 1 << 40}, 400, "field 'meta.memory_bytes'"),
        ({"result_bytes": 1 << 40}, 400, "field 'meta.result_bytes'"),
    ],
)
def test_limits_that_tests_state_are_granted_up_to_the_most(client, meta, status, outcome):
    truth = GRANTED | {"meta": meta}
    judged = client.post("/judge", json={"submissions": [{"code": LARGE, "tests": truth}]})
    batch = {"completion": f"```python\n{LARGE}\n```", "config": {"provided_data": {"test_cases": truth}}}
    evaluated = client.post("/common_evaluate_batch", json=batch)
    assert judged.status_code == evaluated.status_code == status
    if status == 200:
        assert judged.json()["verdicts"][0]["outcome"] == outcome
        assert evaluated.json()["accepted"] == (outcome == "pass")
    else:
        assert outcome in judged.json()["error"]["message"]
        assert outcome in evaluated.text


def test_a_large_body_is_not_read_to_its_end(judge):
    with TestClient(judge_app(judge, JudgeBounds(body_bytes=1000))) as client:
        assert error_of(client.post("/judge", content=b"x" * 2000)) == (413, None)
        assert client.post("/judge", content=iter([b"x" * 600] * 3)).status_code == 413


def test_the_key_is_asked_for_in_either_place(judge):
    with TestClient(judge_app(judge, key="secret")) as client:
        asked = {"code": "1", "language": "python"}
        assert client.post("/run_code", json=asked).status_code == 401
        assert client.post("/run_code?token=wrong", json=asked).status_code == 401
        assert client.post("/run_code?token=secret", json=asked).status_code == 200
        headers = {"authorization": "Bearer secret"}
        assert client.post("/run_code", json=asked, headers=headers).status_code == 200
        assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403)])
def test_without_a_key_this_machine_alone_is_served(judge, host, status, monkeypatch):
    monkeypatch.delenv("O1CODER_API_KEY", raising=False)
    with TestClient(judge_app(judge), client=(host, 4711)) as client:
        assert client.post("/run_code", json={"code": "1", "language": "python"}).status_code == status


def test_too_many_waiting_programs_are_told_to_come_again(judge):
    slow = Submission(SLOW, "f", (CallTest("[]", "1"),))
    with TestClient(judge_app(judge, JudgeBounds(waiting=2))) as client:
        futures = [judge.submit(slow) for _ in range(24)]
        response = client.post("/run_code", json={"code": "1", "language": "python"})
        for future in futures:
            future.cancel()
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


@pytest.fixture
def address(judge):
    """A server over real sockets."""
    with served(judge_app(judge)) as port:
        yield "127.0.0.1", port


def test_who_waits_for_room_to_run_code_holds_up_nobody(judge):
    room = threading.Event()

    class Full(ConcurrentJudge):
        def submit_run(self, submission, /):
            assert room.wait(30)
            return super().submit_run(submission)

    async def ask(judge):
        transport = httpx.ASGITransport(judge_app(judge))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            body = {"code": "print(1)", "language": "python"}
            waiting = asyncio.ensure_future(client.post("/run_code", json=body))
            await asyncio.sleep(0.05)
            health = await client.get("/health")
            room.set()
            return health.json()["status"], (await waiting).json()["run_result"]["stdout"]

    with Full() as full:
        assert asyncio.run(ask(full)) == ("ok", "1\n")


def test_a_client_that_hangs_up_leaves_nothing_behind(judge, address):
    row = {"code": SLOW, "entry_point": "f", "tests": [CALL]}
    body = httpx.Request("POST", "http://x/judge", json={"submissions": [row] * 64})
    with socket.create_connection(address) as connection:
        head = f"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body.content)}\r\n\r\n"
        connection.sendall(head.encode() + body.content)
        while judge.waiting == 0:
            time.sleep(0.01)
    deadline = time.monotonic() + 10
    while judge.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    # what was cancelled is dropped as workers come free; a new program does not wait for the 64 sleepers
    (verdict,) = judge.evaluate([Submission(ADD, "add", (CallTest("[1, 2]", "3"),))])
    assert verdict.outcome == "pass"


def test_many_requests_at_once_are_all_answered(address):
    url = "http://{}:{}/run_code".format(*address)
    with httpx.Client(limits=httpx.Limits(max_connections=100), timeout=60) as client:

        def ask(number):
            answer = client.post(url, json={"code": f"print({number})", "language": "python"}).json()
            return answer["run_result"]["stdout"]

        with ThreadPoolExecutor(100) as threads:
            assert list(threads.map(ask, range(300))) == [f"{number}\n" for number in range(300)]


def test_cancelled_work_is_not_begun(judge):
    async def hang_up():
        slow = Submission(SLOW, "f", (CallTest("[]", "1"),))
        task = asyncio.ensure_future(judge.evaluate_async([slow] * 32))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(hang_up())
    (verdict,) = judge.evaluate([Submission(ADD, "add", (CallTest("[1, 2]", "3"),))])
    assert verdict.outcome == "pass"
