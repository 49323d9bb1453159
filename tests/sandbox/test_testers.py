# ruff: noqa: E501 - one program and one test a line
"""Tests that are code: what crosses between a test and the program, and what is not supported."""

import pytest

from o1coder_gym.sandbox.values.extraction import looks_at_arguments
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Limits, Outcome, Submission

CACHE = "class Cache:\n    def __init__(self, n): self.d = {}\n    def put(self, k, v): self.d[k] = v\n"
CACHE += "    def get(self, k): return self.d.get(k, -1)\n"


def verdict_on(judge, code, test, entry="f", **limits):
    (verdict,) = judge.evaluate([Submission(code, entry, (AssertTest(test),), Limits(**limits))])
    return verdict


@pytest.mark.parametrize(
    ("code", "entry", "test", "outcome"),
    [
        ("def f(g,x): return g(x)", "f", "assert f(lambda x: x+1, 3) == 4", "pass"),
        ("def f(g,x): return g(x)", "f", "assert f(lambda x: x+1, 3) == 5", "wrong_answer"),
        (
            "def f(g,x): return sorted(x,key=g)",
            "f",
            "assert f(lambda p: p[1], [(1,2),(2,1)]) == [(2,1),(1,2)]",
            "pass",
        ),
        ("def f(n): return lambda x: x+n", "f", "assert f(1)(2) == 3", "pass"),
        ("def f(n): return lambda x: x+n", "f", "g = f(1)\nh = f(2)\nassert g(h(1)) == 4", "pass"),
        (
            "class LRU:\n    def __init__(s,n): s.d={}\n    def put(s,k,v): s.d[k]=v\n    def get(s,k): return s.d.get(k,-1)",
            "LRU",
            "c=LRU(2)\nc.put(1,5)\nassert c.get(1)==5 and c.get(2)==-1",
            "pass",
        ),
        (
            "class E(Exception): pass\ndef f(): raise E('no')",
            "f",
            "try:\n    f()\n    assert 0\nexcept E as e:\n    assert str(e)=='no'",
            "pass",
        ),
        (
            "class E(ValueError): pass\ndef f(): raise ValueError('no')",
            "f",
            "try:\n    f()\n    assert 0\nexcept E as e:\n    pass",
            "runtime_error",
        ),
        (
            "import enum\nclass Color(enum.Enum):\n    RED=1\n    BLUE=2\ndef f(x): return Color.RED if x else Color.BLUE",
            "f",
            "assert f(1) == Color.RED\nassert f(0) is not None and f(0) != Color.RED",
            "pass",
        ),
        (
            "import datetime\ndef f(d): return d+datetime.timedelta(days=1)",
            "f",
            "import datetime\nassert f(datetime.date(2020,2,28)) == datetime.date(2020,2,29)",
            "pass",
        ),
        ("def f(a):\n    a[:2]=[9,9]\n    return 2", "f", "a=[1,2,3]\nk=f(a)\nassert a[:k]==[9,9]", "pass"),
        (
            "def f(a):\n    a[:2]=[9,9]\n    return 2",
            "f",
            "a=[1,2,3]\nassert f(a)==2 and a[:2]==[9,9]",
            "pass",
        ),
        (
            "def f(a):\n    a[:2]=[9,9]\n    return 2",
            "f",
            "a=[1,2,3]\nassert f(a=a)==2\nassert a==[9,9,3]",
            "pass",
        ),
        (
            "def f(b):\n    b.append(1)\n    return len(b)",
            "f",
            "b=bytearray(b'ab')\nassert f(b)==3\nassert b==bytearray(b'ab\\x01')",
            "pass",
        ),
        (
            "def f(t):\n    t[0].append(1)\n    return 1",
            "f",
            "x=[0]\nt=(x,2)\nf(t)\nassert x==[0,1] and t==([0,1],2)",
            "pass",
        ),
        ("def f(a): a.clear(); return []", "f", "x=[2,1]\nassert f(x)==sorted(x)", "wrong_answer"),
        (
            "class It:\n    def __init__(s,n): s.n=n\n    def __iter__(s): return s\n    def __next__(s):\n        if s.n<=0: raise StopIteration\n        s.n-=1\n        return s.n\ndef f(n): return It(n)",
            "f",
            "assert list(f(3))==[2,1,0]",
            "pass",
        ),
        (
            "class It:\n    def __init__(s,n): s.n=n\n    def __iter__(s): return iter(range(s.n))\ndef f(n): return It(n)",
            "f",
            "r=f(3)\nassert [x for x in r]==[0,1,2]",
            "pass",
        ),
        (
            "def f():\n    n=0\n    while True:\n        yield n\n        n+=1",
            "f",
            "import itertools\nassert list(itertools.islice(f(),3))==[0,1,2]",
            "pass",
        ),
        (
            "class V:\n    def __init__(s,x): s.x=x\n    def __eq__(s,o): return s.x==o.x\n    def __add__(s,o): return V(s.x+o.x)\ndef f(a,b): return a+b",
            "f",
            "assert f(V(1),V(2))==V(3)",
            "pass",
        ),
        (
            "class V:\n    def __init__(s,x): s.x=x\n    def __eq__(s,o): return s.x==o.x\n    def __add__(s,o): return V(s.x+o.x)\ndef f(a,b): return a+b",
            "f",
            "v=V(1)+V(2)\nassert v==V(3) and v.x==3",
            "pass",
        ),
        (
            "class Always:\n    def __eq__(s,o): return True\ndef f(x): return Always()",
            "f",
            "assert f(1)==f(2) and [f(1)]==[3]",
            "wrong_answer",
        ),
        (
            "class S:\n    def __getattr__(s,n): return lambda *a: True\ndef f(x): return S()",
            "f",
            "y=1\nassert f(y).startswith('a')",
            "wrong_answer",
        ),
        ("def f(o): return o.x", "f", "class P:\n    x=3\nassert f(P())==3", "unsupported"),
        (
            "def f(o): return o",
            "f",
            "import collections\nc=collections.Counter('aab')\nassert f(c).most_common(1)==[('a',2)]",
            "wrong_answer",
        ),
        (
            "def f(o): return o.most_common(1)",
            "f",
            "import collections\nc=collections.Counter('aab')\nassert f(c)==[('a',2)]",
            "pass",
        ),
        (
            "def f(o): return o['x']",
            "f",
            "import collections\nc=collections.defaultdict(list)\nassert f(c)==[]",
            "pass",
        ),
        ("K=7\ndef f(): return 1", "f", "assert K==7 and f()==1", "pass"),
        (
            "def f(x): return [x]",
            "f",
            "import functools\nassert functools.reduce(lambda a,b: a+b,[f(1),f(2)])==[1,2]",
            "pass",
        ),
        ("def f(x):\n    return f(x-1)+1 if x else 0", "f", "x=5\nassert f(x)==5", "pass"),
        ("def f(h):\n    return h(3)", "f", "assert f(lambda x: f(lambda y: y) if x>3 else x*2)==6", "pass"),
        (
            "def f(h):\n    try:\n        h()\n    except ValueError as e: return str(e)",
            "f",
            "def bad(): raise ValueError('z')\nassert f(bad)=='z'",
            "pass",
        ),
        (
            "def f(x): return x",
            "f",
            "x=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\nassert f(x)==x",
            "pass",
        ),
        (
            "import numpy as np\ndef f(a): return a*2",
            "f",
            "import numpy as np\nassert (f(np.array([1,2]))==np.array([2,4])).all()",
            "pass",
        ),
        (
            "import numpy as np\ndef f(a): return np.array(a)",
            "f",
            "a=[1,2]\nassert f(a)==[1,2]",
            "wrong_answer",
        ),
        (
            "from itertools import count\ndef f(): return count()",
            "f",
            "g=f()\nassert next(g)==0 and next(g)==1",
            "pass",
        ),
        ("def f(x): return f'{undefined}'", "f", "x=1\nassert f(x)", "runtime_error"),
        (
            "def f(xs, key, reverse=False): return sorted(xs, key=key, reverse=reverse)",
            "f",
            "assert f([1, -2], key=abs, reverse=True) == [-2, 1]",
            "pass",
        ),
        (
            "def f(a, b): return a + b",
            "f",
            "import functools\ng = functools.partial(f, 1)\nassert g(2) == 3",
            "pass",
        ),
        (
            "def f(*gs):\n    def h(x):\n        for g in gs: x = g(x)\n        return x\n    return h",
            "f",
            "assert f(str, len)(1234) == 4",
            "pass",
        ),
        (
            "def f(k):\n    calls = [0]\n    def g():\n        calls[0] += 1\n        return calls[0]\n    return g",
            "f",
            "g = f(0)\ng()\nassert g() == 2",
            "pass",
        ),
        (
            "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)",
            "Stack",
            "s = Stack()\ns.push(1)\ns.push(2)\nassert len(s) == 2\nassert s.pop() == 2 and len(s) == 1",
            "pass",
        ),
        (
            "class Stack:\n    def push(self, x): pass\n    def pop(self): return 0",
            "Stack",
            "s = Stack()\ns.push(1)\nassert s.pop() == 1",
            "wrong_answer",
        ),
        (
            "class Base(Exception): pass\nclass Odd(Base): pass\ndef f(): raise Odd('x')",
            "f",
            "try:\n    f()\nexcept Base as error:\n    assert str(error) == 'x'\nelse:\n    raise AssertionError",
            "pass",
        ),
        (
            "from datetime import datetime, timedelta, timezone\ndef f(t): return t + timedelta(hours=1)",
            "f",
            "from datetime import *\nt = datetime(2024, 1, 1, 23, tzinfo=timezone.utc)\nassert f(t) == datetime(2024, 1, 2, tzinfo=timezone.utc)",
            "pass",
        ),
        ("def f(d): return d.days", "f", "import datetime\nassert f(datetime.timedelta(3)) == 3", "pass"),
        (
            "def f(d):\n    d['x'].append(1)\n    d['y'] = 2\n    return True",
            "f",
            "d = {'x': []}\ninner = d['x']\nassert f(d)\nassert d == {'x': [1], 'y': 2} and inner == [1]",
            "pass",
        ),
        (
            "def f(s):\n    s.add(3)\n    return len(s)",
            "f",
            "s = {1}\nn = f(s)\nassert n == 2\nassert s == {1, 3}",
            "pass",
        ),
        (
            "def f(rows):\n    for row in rows: row.reverse()\n    return rows",
            "f",
            "rows = [[1, 2], [3]]\nout = f(rows)\nassert out == [[2, 1], [3]] == rows",
            "pass",
        ),
        (
            "def f(o): return o.value",
            "f",
            "from enum import Enum\nclass E(Enum):\n    A = 1\nassert f(E.A) == 1",
            "unsupported",
        ),
        ("def f(o): return len(o)", "f", "class L(list): pass\nassert f(L([1])) == 1", "unsupported"),
        ("def f(o): return o", "f", "x = 1\nfor _ in range(150): x = [x]\nassert f(x) == x", "unsupported"),
        ("def f(p): return next(p)", "f", "assert f(iter([4, 5])) == 4", "pass"),
        (
            "def f(n):\n    for k in range(n): yield k",
            "f",
            "g = f(3)\nassert next(g) == 0\nassert list(g) == [1, 2]",
            "pass",
        ),
        ("def f(): return object()", "f", "x = f()\nassert x.startswith('a') or True", "wrong_answer"),
        (
            "class T:\n    def __lt__(self, o): return True\n    def __sub__(self, o): return self\n    def __abs__(self): return self\ndef f(x): return T()",
            "f",
            "x = 1.0\nassert abs(f(x) - 3) < 1e-6",
            "wrong_answer",
        ),
        (
            "class T(str):\n    def startswith(self, *a): return True\ndef f(x): return T('no')",
            "f",
            "x = 1\nassert f(x).startswith('a')",
            "wrong_answer",
        ),
        ("def f(g): return g([1])", "f", "assert f(lambda x: object()) is None", "runtime_error"),
        (
            "class P: pass\ndef f(): return P()",
            "f",
            "x = 1\nassert f() and str(f()) and not f() == x",
            "pass",
        ),
        (
            "class P: pass\ndef f(p): return p.x",
            "f",
            "p = P()\np.x = 3\nassert f(p) == 3 and p.x == 3",
            "pass",
        ),
        (
            "class P:\n    def __bool__(self): return False\ndef f(): return P()",
            "f",
            "P\nassert not f()",
            "pass",
        ),
    ],
)
def test_what_crosses(judge, code, entry, test, outcome):
    verdict = verdict_on(judge, code, test, entry)
    assert verdict.outcome.value == outcome, verdict


@pytest.mark.parametrize(
    ("code", "entry", "test", "outcome"),
    [
        ("async def f(x): return [x]", "f", "assert asyncio.run(f(1)) == [1]", "pass"),
        ("async def f(x): return [x]", "f", "assert asyncio.run(f(1)) == [2]", "wrong_answer"),
        ("async def f(x): return [x]", "f", "assert f(1) == [1]", "wrong_answer"),
        ("def f(x): return [x]", "f", "assert asyncio.run(f(1)) == [1]", "wrong_answer"),
        (
            "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x",
            "f",
            "async def main(): return await asyncio.gather(f(1), f(2))\nassert asyncio.run(main()) == [1, 2]",
            "pass",
        ),
        (
            "async def f(x): raise ValueError('no')",
            "f",
            "try:\n    asyncio.run(f(1))\n    assert 0\nexcept ValueError as error:\n    assert str(error) == 'no'",
            "pass",
        ),
        ("async def f(x): return 1 / x", "f", "assert asyncio.run(f(0))", "runtime_error"),
        (
            "async def f(n):\n    for k in range(n): yield k",
            "f",
            "async def main(): return [k async for k in f(3)]\nassert asyncio.run(main()) == [0, 1, 2]",
            "pass",
        ),
        (
            "class C:\n    async def get(self, k): return k",
            "C",
            "c = C()\nassert asyncio.run(c.get(3)) == 3",
            "pass",
        ),
        (
            "import asyncio\nlock = asyncio.Lock()\nasync def f(x):\n    async with lock: return x",
            "f",
            "assert asyncio.run(f(1)) == 1 and asyncio.run(f(2)) == 2",
            "pass",
        ),
        ("async def f(x): return x", "f", "x = 1\nassert f(f(x)) == x", "wrong_answer"),
        ("async def f(x):\n    while True: pass", "f", "asyncio.run(f(1))", "timeout"),
    ],
)
def test_coroutines_run_in_the_program_when_the_test_awaits_them(judge, code, entry, test, outcome):
    verdict = verdict_on(judge, code, f"import asyncio\n{test}", entry, cpu_s=0.5, wall_s=2.0)
    assert verdict.outcome.value == outcome, verdict


VECTOR = """
class Vector:
    made = 0
    def __init__(self, x): self.x = x
    @classmethod
    def zero(cls): cls.made += 1; return cls(0)
    @staticmethod
    def size(): return 2
    @property
    def double(self): return 2 * self.x
    def __eq__(self, other): return isinstance(other, Vector) and self.x == other.x
    def __hash__(self): return hash(self.x)
    def __repr__(self): return f"Vector({self.x})"
    def __rmul__(self, k): return Vector(k * self.x)
    def __radd__(self, k): return Vector(k + self.x)
    def __matmul__(self, other): return self.x * other.x
    def __or__(self, other): return Vector(self.x | other.x)
    def __neg__(self): return Vector(-self.x)
    def __reversed__(self): return iter([self.x, 0])
    def __delitem__(self, place): self.x = place
    def __round__(self): return round(self.x)
class Small(Vector): pass
"""


@pytest.mark.parametrize(
    "test",
    [
        "v = Vector.zero()\nassert Vector.made == 1 and Vector.size() == 2 and v.double == 0",
        "assert isinstance(Small(1), Vector) and not isinstance(3, Vector) and issubclass(Small, Vector)",
        "assert not isinstance(Vector(1), Small) and not issubclass(Vector, Small)",
        "assert repr(Vector(3)) == 'Vector(3)' and f'{[Vector(1)]}' == '[Vector(1)]'",
        "assert len({Vector(1), Vector(1), Vector(2)}) == 2 and Vector(1) in {Vector(1): 0}",
        "assert 3 * Vector(2) == Vector(6) and 1 + Vector(2) == Vector(3) and sum([Vector(1)]).x == 1",
        "assert Vector(2) @ Vector(3) == 6 and Vector(1) | Vector(2) == Vector(3) and (-Vector(1)).x == -1",
        "v = Vector(2.4)\nassert list(reversed(v)) == [2.4, 0] and round(v) == 2\ndel v[5]\nassert v.x == 5",
        "v = w = Vector(1)\nu = [v]\nassert v is w and u[0] is v and Vector(1) is not v",
        "import unittest\nunittest.TestCase().assertIsInstance(Vector(1), Vector)",
    ],
)
def test_classes_are_what_they_are_to_tests_that_name_them(judge, test):
    verdict = verdict_on(judge, VECTOR, test, "Vector")
    assert verdict.outcome is Outcome.PASS, verdict
    check = CheckTest("def check(candidate):\n" + "".join(f"    {line}\n" for line in test.splitlines()))
    (verdict,) = judge.evaluate([Submission(VECTOR, "Vector", (check,))])
    assert verdict.outcome is Outcome.PASS, verdict


NAMED = "import collections\nP = collections.namedtuple('P', 'startswith real')\n"
NAMED += "def f(): return P(lambda x: True, lambda x: True)"
LIAR = "class L:\n    def __getattr__(self, name): return {}\ndef f(*a): return L()"


@pytest.mark.parametrize(
    ("code", "test", "outcome"),
    [
        (
            "import collections\nP = collections.namedtuple('P', 'a b')\ndef f(): return [P(1, 2)]",
            "p.b == 2",
            "pass",
        ),
        (
            "from typing import NamedTuple\nclass P(NamedTuple):\n    b: int\ndef f(): return [P(2)]",
            "p == (2,)",
            "pass",
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass P:\n    b: int\ndef f(): return [P(2)]",
            "p.b == 2",
            "pass",
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass P:\n    b: int\ndef f(): return [P(3)]",
            "p.b == 2",
            "wrong_answer",
        ),
        ("import types\ndef f(): return [types.SimpleNamespace(b=[1])]", "p.b == [1]", "pass"),
        (
            "import enum\nclass E(enum.Enum):\n    A = 1\ndef f(): return [E.A]",
            "p.value == 1 and p.name == 'A'",
            "pass",
        ),
        (LIAR.format("True"), "p.startswith('a')", "wrong_answer"),
        (LIAR.format("lambda *a: True"), "p.startswith('a')", "wrong_answer"),
        (LIAR.format("lambda *a: True"), "p.is_valid()", "wrong_answer"),
        (LIAR.format("True"), "p.real == p.imag", "wrong_answer"),
        (LIAR.format("True"), "p.year == 2020 or p.tzinfo is None", "wrong_answer"),
        (LIAR.format("self"), "p.b == p.b", "wrong_answer"),
        (NAMED, "p.startswith('a')", "wrong_answer"),
        (NAMED, "p.real('a')", "wrong_answer"),
        (
            "class T(type):\n    def __instancecheck__(c, o): return True\nclass K(metaclass=T): pass\ndef f(): return K",
            "isinstance(3, p)",
            "wrong_answer",
        ),
    ],
)
def test_attributes_of_an_object_are_plain_data_that_no_plain_value_has(judge, code, test, outcome):
    verdict = verdict_on(
        judge, code, f"found = f()\np = found[0] if isinstance(found, list) else found\nassert {test}"
    )
    assert verdict.outcome.value == outcome, verdict


@pytest.mark.parametrize("hours", [-5, 0, 5.5])
def test_times_of_any_zone_are_equal_at_the_same_moment(judge, hours):
    zone = f"datetime.timezone(datetime.timedelta(hours={hours}))"
    code = f"import datetime\ndef f(h): return datetime.datetime(2024, 3, 1, h, tzinfo={zone})"
    test = f"import datetime\nt = f(7)\nassert t == datetime.datetime(2024, 3, 1, 7, tzinfo={zone})\n"
    test += f"assert t.utcoffset() == datetime.timedelta(hours={hours}) and t.hour == 7 and f(8) != t"
    assert verdict_on(judge, code, test).outcome is Outcome.PASS


def test_arrays_are_changed_in_place(judge):
    pytest.importorskip("numpy")
    code = "def f(a, b):\n    a[0] = 9\n    b += 1\n    return a.sum()"
    test = "import numpy as np\na, b = np.array([1, 2]), np.zeros((2, 2))\nn = f(a, b)\n"
    test += "assert n == 11\nassert a.tolist() == [9, 2] and (b == 1).all()"
    assert verdict_on(judge, code, test).outcome is Outcome.PASS
    assert verdict_on(judge, "def f(a, b): return 11", test).outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    "test",
    [
        "from unittest.mock import patch\nwith patch('builtins.input', return_value='1'):\n    assert f(1) == 1",
        "from unittest import mock\n@mock.patch.object(dict, 'x', create=True)\ndef g(_): assert f(1) == 1",
        "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as b:\n    f(1)\nassert b.getvalue()",
        "import io, sys\nsys.stdout = b = io.StringIO()\nf(1)\nassert b.getvalue() == '1'",
        "import sys\nsys.stdin = open('/dev/null')\nassert f(1) == 1",
        "import warnings\nwith warnings.catch_warnings(record=True) as w:\n    f(1)\nassert len(w) == 1",
        "import unittest\nwith unittest.TestCase().assertLogs():\n    f(1)",
        "with f(1) as g:\n    assert g == 2",
    ],
)
@pytest.mark.parametrize("code", ["def f(x): return x", "def f(x): return -x"])
def test_what_reaches_into_the_program_is_not_supported(judge, code, test):
    verdict = verdict_on(judge, code, test)
    assert verdict.outcome is Outcome.UNSUPPORTED, verdict
    assert "reaches into the program's process" in verdict.error


@pytest.mark.parametrize(
    "test",
    [
        "patch = [[1]]\nassert [f(patch)] == [[[1]]]",
        "import warnings\nwith warnings.catch_warnings():\n    assert [f(1)] == [1]",
        "import sys\nsys.stdout.write('x')\nassert [f(1)] == [1] and sys.argv",
        "import tempfile\nwith tempfile.TemporaryFile() as g:\n    assert [f(1)] == [1]",
        "from unittest.mock import MagicMock\nassert [f(1)] == [1]",
        "import unittest\nwith unittest.TestCase().assertRaises(TypeError):\n    f()\nassert f('with f(1) as g') != 1",
    ],
)
def test_what_only_looks_like_it_is_judged(judge, test):
    assert verdict_on(judge, "def f(x): return x", test).outcome is Outcome.PASS
    assert verdict_on(judge, "def f(x=0): return 1", test).outcome is Outcome.WRONG_ANSWER or "[f(1)]" in test


@pytest.mark.parametrize("depth", [110, 150, 5_000])
def test_a_literal_nested_too_deep_is_a_matter_of_its_own_row(judge, depth):
    deep = CallTest("[" + "[" * depth + "]" * depth + "]", "1")
    fine = CallTest("[1]", "1")
    code = "def f(x): return x"
    verdicts = judge.evaluate(
        [Submission(code, "f", (deep, fine)), Submission(code, "f", (fine,)), Submission("1 +", "f", (deep,))]
    )
    assert [test.outcome.value for test in verdicts[0].tests] == ["unsupported", "pass"]
    assert [one.outcome.value for one in verdicts] == ["unsupported", "pass", "compile_error"]
    assert not verdicts[0].outcome.decided


def test_a_failure_says_more_than_a_test_that_cannot_be_judged(judge):
    tests = (AssertTest("import enum\nassert f(enum.Enum) == 1"), CallTest("[1]", "2"))
    (verdict,) = judge.evaluate([Submission("def f(x): return x", "f", tests)])
    assert [test.outcome.value for test in verdict.tests] == ["unsupported", "wrong_answer"]
    assert verdict.outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    "forged",
    [
        "import os\nfor i in range(3): os.write(3, bytes([7]) + i.to_bytes(4, 'little') + bytes(4))\nos._exit(0)",
        "import os, struct\nos.write(3, b''.join(struct.pack('<BII', 7, i, 0) for i in (2, 1)))\nwhile True: pass",
        "while f(1): pass",
        "import time\ntime.sleep(60)",
    ],
)
def test_no_test_reports_for_another_or_uses_up_its_time(judge, forged):
    right, wrong = "x = 1\nassert [f(x)] == [1]", "x = 1\nassert [f(x)] == [2]"
    tests = (AssertTest(right), AssertTest(wrong), AssertTest(forged), AssertTest(right), AssertTest(wrong))
    limits = Limits(cpu_s=0.2, wall_s=0.5)
    (verdict,) = judge.evaluate([Submission("def f(x): return x", "f", tests, limits)])
    outcomes = [test.outcome.value for test in verdict.tests]
    assert outcomes[:2] == ["pass", "wrong_answer"]
    assert outcomes[3:] in (["pass", "wrong_answer"], ["timeout", "timeout"] if "sleep" in forged else [])


FORGED = """
import os, struct, time
def send(*fields):
    message = b"".join(struct.pack("<I", len(field)) + field for field in fields)
    os.write(4, struct.pack("<I", len(message)) + message)
def f(x):
    send({fields})
    return x
"""


@pytest.mark.parametrize(
    "fields",
    [
        "b'stop'",
        "b'none'",
        "b'class', b'ValueError'",
        "b'back', b'0', b'[]', b'{}'",
        "b'back', b'-1', b'[]', b''",
        "b'back', b'x'",
        "b'return', b'1'",
        "b'v'",
        "b'v', b'{\"p\":0}'",
        "b'v', b'{\"G\":99}'",
        "b'v', b'3', b'[[9]]', b'{\"d\":[]}'",
        'b\'v\', b\'{"k":["defaultdict",[],{"y":"int"}]}\'',
        "b'v', b'{\"D\":[\"eval\",[1],false]}'",
        "b'e', b'StopIteration', b'', b''",
        "b'e', b'CandidateGone Unsupported', b'', b''",
        "b'e', b'a\\0b', b'', b''",
        "b'e'",
        "",
    ],
)
@pytest.mark.parametrize(
    "test",
    [
        "assert all(map(f, [0, 0])) and [f(0)] == [1]",
        "assert not [y for y in map(f, [5]) if y != 6]\nassert [f(0)] == [1]",
        "x = [1]\nassert f(x) == [2]\nassert x == [2]",
    ],
)
def test_forged_answers_pass_nothing(judge, fields, test):
    verdict = verdict_on(judge, FORGED.replace("{fields}", fields), test, cpu_s=0.5, wall_s=1.0)
    assert verdict.outcome.value in ("wrong_answer", "runtime_error"), verdict


@pytest.mark.parametrize("pause", ["", "time.sleep(0.01)"])  # both answers in one read, and in two
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ('{"a":["|V8",[0],[]]}', "wrong_answer"),
        ('{"k":["Counter",[],null]}', "pass"),
        ('{"D":["time",[1,2,3,4],true]}', "pass"),
        ("[" * 99 + "]" * 99, "pass"),
        ("[" * 100 + "]" * 100, "wrong_answer"),
    ],
)
def test_no_program_makes_a_test_unsupported(judge, answer, outcome, pause):
    """It answers once more than it is asked: what it returned is then its answer to the next question."""
    code = FORGED.replace("{fields}", f"b'v', {answer.encode()!r}").replace(
        "    return", f"    {pause}\n    return"
    )
    verdict = verdict_on(judge, code, "x = 1\ny = f(x)\nassert f([y]) == x")
    assert verdict.outcome.value == outcome, verdict


def test_check_functions_get_classes_and_closures(judge):
    check = CheckTest(
        "def check(candidate):\n    c = candidate(2)\n    c.put(1, 5)\n    assert c.get(1) == 5\n"
    )
    (verdict,) = judge.evaluate([Submission(CACHE, "Cache", (check,))])
    assert verdict.outcome is Outcome.PASS, verdict


@pytest.mark.parametrize(
    ("code", "looks"),
    [
        ("assert f([1]) == 1", False),
        ("a = [1]\nassert f(a) == 1", True),
        ("assert f(x=a.b) == 1", True),
        ("assert f(*a)", True),
        ("def check(candidate):\n    assert candidate(1, 'a') == 2", False),
        ("not python (", True),
        ("a;" * 200_000, True),
    ],
)
def test_whether_a_test_may_look_at_what_it_passed(code, looks):
    assert looks_at_arguments(code) is looks
