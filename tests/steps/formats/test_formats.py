import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.steps.formats import FORMATS, PSEUDOCODE, VANILLA, PseudocodeFormat, load_format
from o1coder_gym.types import ActionType, AssertTest, CallTest, Problem, State, StdioTest, Step

PIECES = [
    "### Step 2 (code)",
    "\\",
    "\\### step",
    "```",
    "```python",
    "````",
    "    ",
    "\n",
    "\r",
    "x = 1",
    "é",
]
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
TYPES = st.sampled_from([ActionType.DEFINE, ActionType.REFINE, ActionType.CODE])
ADD = Problem("t/0", "Write a function that adds two numbers.", "add", (CallTest("[1, 2]", "3"),))


@given(TYPES, TEXTS, st.integers(1, 99))
def test_parse_inverts_render_for_any_text(kind, text, index):
    step = Step(kind, text)
    assert PSEUDOCODE.parse(PSEUDOCODE.render(step, index)) == step
    assert PSEUDOCODE.complaint(PSEUDOCODE.render(step, index)) == ""


@given(TEXTS)
def test_vanilla_parse_inverts_render_for_any_program(text):
    step = Step(ActionType.CODE, text)
    assert VANILLA.parse(VANILLA.render(step, 1)) == step


@pytest.mark.parametrize("name", FORMATS)
@given(
    action=TEXTS, header=st.sampled_from(["", "### Step 1 (define)\n", "### Step 2 (code)\n", "```python\n"])
)
def test_every_action_parses_and_what_was_parsed_is_representable(name, action, header):
    step_format = FORMATS[name]
    step = step_format.parse(header + action)
    assert step_format.parse(step_format.render(step, 3)) == step
    assert (step.type is ActionType.MALFORMED) == bool(step_format.complaint(header + action))


@given(TYPES, TEXTS, TEXTS)
def test_boundary_cuts_exactly_after_a_rendered_step(kind, text, following):
    action = PSEUDOCODE.render(Step(kind, text), 1)
    assert PSEUDOCODE.boundary(action + "### Step 2 (refine)\n" + following) == len(action)


@pytest.mark.parametrize("name", FORMATS)
@given(action=TEXTS, header=st.sampled_from(["### Step 1 (define)\n", "### Step 2 (", "```python\n"]))
def test_boundary_does_not_move_as_the_text_grows(name, action, header):
    text = header + action
    end = FORMATS[name].boundary(text)
    for length in range(len(header), len(text)):
        early = FORMATS[name].boundary(text[:length])
        assert early is None or early == end


HEADERS = [
    "### Step 1 (code)\n",
    "\n### step (define): ",
    "### Step 2 (code) ",
    "~~~\n",
    "</think>",
    "<think>",
]


@given(st.lists(st.sampled_from([*HEADERS, *PIECES, "```python\n", "\n```\n"]), max_size=20).map("".join))
def test_a_chain_is_cut_where_its_steps_would_be_cut_alone(text):
    cut = PseudocodeFormat().split(f"### Step 1 (define)\n{text}")
    for place in range(len(cut)):
        assert PseudocodeFormat().split("".join(cut[place:])) == cut[place:]


@pytest.mark.parametrize(
    "first", ["### Step 1 (code) ```\nx\n```\n", "### Step 1 (define) ", "### Step 1 (code)\n\n"]
)
def test_a_body_may_begin_in_the_line_of_its_header(first):
    assert PSEUDOCODE.boundary(first + "### Step 2 (refine)\nfaster\n") == len(first)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("behind", ["", "```python\nx\n```\n", "a ``` b\n", "<think>a</think>\n"])
def test_chains_of_many_steps_are_cut_in_time(behind):
    step = f"### Step 1 (code)\n{behind}"
    count = 200_000 // len(step)
    assert PseudocodeFormat().split(step * count) == [step] * count


@pytest.mark.parametrize(
    ("action", "step"),
    [
        ("### Step 9 (REFINE)  \nmerge sort\n\n", Step(ActionType.REFINE, "merge sort")),
        ("\n###step (define):\r\nplan", Step(ActionType.DEFINE, "plan")),
        ("### Step 1 (define) plan", Step(ActionType.DEFINE, "plan")),
        ("### Step 3 (code)\nHere it is:\n```py\nx = 1\n```\nDone.", Step(ActionType.CODE, "x = 1")),
        ("### Step 3 (code)\n```python\nx = 1\ny", Step(ActionType.CODE, "x = 1\ny")),
    ],
)
def test_parse_is_lenient(action, step):
    assert PSEUDOCODE.parse(action) == step


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("", "must start with a header"),
        ("def f(): pass", "must start with a header"),
        ("### Step 2 (test)\nassert f(1)", "not 'test'"),
        ("### Step 2 (refine)\n  \n", "empty"),
        ("### Step 1 (define)\na\n### Step 2 (refine)\nb", "second step header"),
        ("### Step 2 (code)\nx = 1", "needs a ```python block"),
        ("### Step 2 (refine)\n" + "x" * PSEUDOCODE.max_chars, "at most 16384"),
    ],
)
def test_malformed_actions_say_why(action, reason):
    assert PSEUDOCODE.parse(action) == Step(ActionType.MALFORMED, action[: PSEUDOCODE.max_chars + 1])
    assert reason in PSEUDOCODE.complaint(action)


def test_a_fence_in_a_pseudocode_step_is_text():
    action = "### Step 1 (define)\nIdea:\n```python\nreturn 1\n```\nthat is all\n"
    assert PSEUDOCODE.parse(action) == Step(ActionType.DEFINE, "Idea:\n```python\nreturn 1\n```\nthat is all")
    assert PSEUDOCODE.boundary(action) is None


def test_a_step_comment_in_a_program_is_code():
    action = "### Step 2 (code)\n```python\n### Step 1: read\nx = 1\n```\n"
    assert PSEUDOCODE.parse(action) == Step(ActionType.CODE, "### Step 1: read\nx = 1")
    assert PSEUDOCODE.boundary(action + "Explanation") == len(action)


def test_vanilla_takes_the_first_block_or_everything():
    assert VANILLA.parse("Sure:\n```python\na = 1\n```\n```\nb\n```") == Step(ActionType.CODE, "a = 1")
    assert VANILLA.parse("a = 1\n") == Step(ActionType.CODE, "a = 1")
    assert VANILLA.parse(" \n") == Step(ActionType.MALFORMED, " \n")


def test_the_prompt_continues_the_steps_so_far():
    first = PSEUDOCODE.prompt(ADD, State("t/0"))
    assert first.prefill == first.opening == "### Step 1 (define)\n"
    state = State("t/0", (Step(ActionType.DEFINE, "add a and b"), Step(ActionType.MALFORMED, "oops")))
    third = PSEUDOCODE.prompt(ADD, state)
    assert third.prefill == "### Step 1 (define)\nadd a and b\n\noops\n\n### Step 3 ("
    assert third.opening == "### Step 3 ("
    assert third.messages == first.messages
    assert third.messages[-1] == (
        "user",
        "Write a function that adds two numbers.\nThe program must define `add`.\n"
        "Examples:\nassert add(1, 2) == 3",
    )


def test_the_worked_example_is_in_the_format_it_teaches():
    answer = PSEUDOCODE.prompt(ADD, State("t/0")).messages[2][1]
    kinds, index = [], 1
    while answer:
        end = PSEUDOCODE.boundary(answer) or len(answer)
        step = PSEUDOCODE.parse(answer[:end])
        assert PSEUDOCODE.render(step, index).strip() == answer[:end].strip()
        kinds.append(step.type)
        answer, index = answer[end:].lstrip("\n"), index + 1
    assert kinds == [ActionType.DEFINE, ActionType.REFINE, ActionType.CODE]


def test_tests_that_the_question_shows_are_not_repeated():
    prompt = "def inc(x):\n    '''>>> inc(1)\n    2'''\n"
    tests = (AssertTest("assert inc(1) == 2"), AssertTest("assert inc( 2)==3"))
    shown = Problem("t/1", prompt + "assert inc(1)  ==  2", "inc", tests)
    content = VANILLA.prompt(shown, State("t/1")).messages[0][1]
    assert content.count("inc(1)") == 2
    assert "assert inc( 2)==3" in content


def test_programs_without_entry_point_read_standard_input():
    problem = Problem("t/2", "Print twice the number.", None, (StdioTest("2\n", "4\n"),))
    content = PSEUDOCODE.prompt(problem, State("t/2")).messages[-1][1]
    assert "standard input" in content
    assert content.endswith("Input:\n2\nOutput:\n4")


def test_load_format_names_the_formats():
    assert load_format("vanilla") is VANILLA
    with pytest.raises(UnknownNameError, match="known: functions, pseudocode, vanilla"):
        load_format("prose")


def test_a_shorter_limit_is_respected():
    assert (
        PseudocodeFormat(max_chars=30).parse("### Step 1 (define)\n" + "x" * 11).type is ActionType.MALFORMED
    )


def test_calls_that_the_docstring_shows_are_not_repeated():
    prompt = 'def inc(x):\n    """Add one.\n\n    >>> inc( 1 )\n    2\n    """\n'
    tests = (CallTest("[1]", "2"), CallTest("[5]", "6"))
    content = VANILLA.prompt(Problem("t/1", prompt, "inc", tests), State("t/1")).messages[0][1]
    assert "inc(1)" not in content
    assert "assert inc(5) == 6" in content
