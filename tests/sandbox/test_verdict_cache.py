"""A cache of verdicts: what it keeps, for how long, and what it must not keep."""

import threading

import pytest

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.sandbox import Judge, VerdictCache
from o1coder_gym.types import CallTest, Outcome, Submission

ADD = "def add(a, b):\n    return a + b\n"
CALLS = (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "4"), CallTest("['a', 'b']", "'ab'"))


def test_a_cache_answers_what_it_knows():
    cache = VerdictCache(capacity=2)
    clock = "import time\ndef add(a, b): return time.time_ns()"
    with Judge(1, layers=(), cache=cache) as judge:
        first, again = judge.evaluate([Submission(clock, "add", CALLS[:1])] * 2)
        assert first == again
        assert judge.evaluate([Submission(clock, "add", CALLS[:1])]) == [first]
        assert judge.evaluate([Submission(clock, "add", CALLS[:2])])[0].tests[0] != first.tests[0]
        assert judge.evaluate([Submission(clock + " ", "add", CALLS[:1])])[0].tests != first.tests
        # the capacity is two, so the first of three is forgotten
        assert judge.evaluate([Submission(clock, "add", CALLS[:1])])[0].tests != first.tests


def test_a_cache_on_disk_outlives_its_judge(tmp_path):
    clock = Submission("import time\ndef add(a, b): return time.time_ns()", "add", CALLS[:1])
    found = []
    for _ in range(2):
        cache = VerdictCache(tmp_path / "verdicts.sqlite")
        with Judge(1, layers=(), cache=cache) as judge:
            found += judge.evaluate([clock])
        cache.close()
    assert found[0] == found[1]
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(InfrastructureError, match=r"broken\.sqlite"):
        VerdictCache(tmp_path / "broken.sqlite")


def test_a_cache_does_not_keep_failures_of_the_judge():
    cache = VerdictCache()
    cancel = threading.Event()
    cancel.set()
    with Judge(1, layers=(), cache=cache) as judge:
        (cancelled,) = judge.evaluate([Submission(ADD, "add", CALLS)], cancel=cancel)
        assert cancelled.outcome is Outcome.INFRASTRUCTURE
        assert judge.evaluate([Submission(ADD, "add", CALLS)])[0].outcome is Outcome.PASS
