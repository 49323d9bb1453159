"""The grammar of specs: what is written is read back, and what was written before is read as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.specs import Spec, name_of, one_of, parse

NAMES = st.text().filter(lambda name: ":" not in name and "?" not in name)
PAIRS = st.lists(st.tuples(st.text(min_size=1), st.text())).map(tuple)
CHARACTERS = st.text(st.sampled_from("%?#&=:/+235Ff \n\u2028é\"'[]{},"))
TARGETS = st.none() | st.text() | CHARACTERS


@settings(deadline=None)
@given(name=NAMES, target=TARGETS, arguments=PAIRS)
def test_what_is_written_is_read_back(name: str, target: str | None, arguments: tuple) -> None:
    spec = Spec(name, target, arguments)
    assert parse(str(spec)) == spec


@settings(deadline=None)
@given(value=CHARACTERS)
def test_a_value_stays_in_its_place(value: str) -> None:
    spec = Spec("mcts", value, (("path", value), ("width", "4")))
    assert dict(parse(str(spec)).arguments) == {"path": value, "width": "4"}
    assert "#" not in str(spec), "a fragment belongs to an earlier spelling"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("heuristic", Spec("heuristic")),
        ("mcts?width=4&c=1.4", Spec("mcts", None, (("width", "4"), ("c", "1.4")))),
        ("hf:a/b?dtype=float32", Spec("hf", "a/b", (("dtype", "float32"),))),
        ("fake:", Spec("fake", "")),
        ("mcts?", Spec("mcts")),
        ("x?a=&&b=1=2", Spec("x", None, (("a", ""), ("b", "1=2")))),
        ("x?a=1+1&b=%26%20%c3%a9", Spec("x", None, (("a", "1+1"), ("b", "& é")))),
        # escapes of web addresses are none of ours, but for the three that a target needs
        ("openai:http://a/%20b%3Fv=1?x=y", Spec("openai", "http://a/%20b?v=1", (("x", "y"),))),
        ("m?f=C:/x", Spec("m", None, (("f", "C:/x"),))),
    ],
)
def test_what_a_string_says(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize("text", ["mcts?width", "mcts?=4", "mcts?width=4&c"])
def test_what_is_no_pair_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"mcts\?.*: expected key=value, got '"):
        parse(text)


def test_a_name_that_could_not_be_read_back_is_refused() -> None:
    for name in ("a:b", "a?b"):
        with pytest.raises(UsageError, match="no ':' and no"):
            Spec(name)
    with pytest.raises(UsageError, match="key is empty"):
        Spec("mcts", None, (("", "1"),))


def test_names_are_read_in_both_spellings() -> None:
    specs = ("mcts", "mcts:width=4", "mcts?width=4", "mcts?path=a:b", "mcts:path=a?b")
    assert {name_of(spec) for spec in specs} == {"mcts"}


def test_a_beginning_names_one_of_many() -> None:
    known = [f"micro/test-{number:04}" for number in range(20)]
    assert one_of("task", "micro/test-0003", known) == "micro/test-0003"
    assert one_of("task", "micro/test-001", [*known[:11], "other"]) == "micro/test-0010"
    told = ", ".join(known[:10])
    with pytest.raises(UsageError, match=f"^task 'micro/test-000' is ambiguous; it could be: {told}$"):
        one_of("task", "micro/test-000", known)
    with pytest.raises(UsageError, match=r"could be: micro/test-0000, .*, micro/test-0011, …$"):
        one_of("task", "micro", known)
    told = "unknown task 'micro/tets-0019'; did you mean 'micro/test-0019'. Known: .*, micro/test-0011, …$"
    with pytest.raises(UnknownNameError, match=told):
        one_of("task", "micro/tets-0019", known)
