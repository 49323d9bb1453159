"""User ids that zygotes of root take: none is another live zygote's, whatever process ids come round."""

import contextlib
import os

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.confinement import privileges
from o1coder_gym.types import CallTest, Submission

SPACE = (2_100_000_000, 3)


@pytest.fixture
def claims(monkeypatch):
    """What is claimed here ends with the test."""
    claims = []
    monkeypatch.setattr(privileges, "_claims", claims)
    monkeypatch.setattr(privileges, "_are_mapped", lambda ids: ids[0] > 0)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [claim.close() for claim in claims])
        yield claims


def test_no_id_is_given_twice_until_it_is_free_again(monkeypatch, claims):
    monkeypatch.setattr(privileges, "UID_SPACES", (SPACE,))
    first, count = SPACE
    taken = [privileges.private_uid() for _ in range(count)]
    assert set(taken) == {*range(first, first + count)}
    assert privileges.private_uid() is None
    claims.pop(1).close()
    assert privileges.private_uid() == taken[1]


@pytest.mark.parametrize("pids", [(7, 10_007), (123, 30_123), (4_000_000, 4_000_000)])
def test_process_ids_that_are_alike_do_not_lead_to_one_id(monkeypatch, claims, pids):
    """In a small space of ids, or in containers of their own, they come round."""
    monkeypatch.setattr(privileges, "_are_mapped", lambda ids: ids[-1] < 65_536)
    found = set()
    for pid in pids:
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        found.add(privileges.private_uid())
    assert len(found) == len(pids)
    assert all(50_000 <= uid < 60_000 for uid in found)


def test_where_no_such_ids_are_there_is_none(monkeypatch, claims):
    monkeypatch.setattr(privileges, "_are_mapped", lambda ids: False)
    assert privileges.private_uid() is None
    assert claims == []


@pytest.mark.parametrize(
    ("ids", "mapped"), [(range(5), True), (range(2**32 - 2, 2**32), False), (range(2**32, 2**32 + 1), False)]
)
def test_ids_have_to_be_mapped_to_the_last(ids, mapped):
    with contextlib.suppress(OSError), open("/proc/self/uid_map") as lines:
        if lines.read().split() != ["0", "0", "4294967295"]:
            pytest.skip("within a user namespace")
    assert privileges._are_mapped(ids) is mapped


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests do not run as root")
@pytest.mark.filterwarnings("ignore::o1coder_gym.sandbox.SandboxWarning")
def test_programs_of_judges_that_live_together_are_different_users():
    user = Submission("import os\ndef f(): return os.getuid()", "f", (CallTest("[]", "0"),))
    with contextlib.ExitStack() as stack:
        judges = [stack.enter_context(Judge(1)) for _ in range(3)]
        if "privileges" in judges[0].report().missing_layers:
            pytest.skip("no other user on this machine")
        users = [judge.evaluate([user])[0].tests[0].got for judge in judges]
    assert len(set(users)) == len(judges)
    assert "0" not in users
