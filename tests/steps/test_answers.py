"""Texts as models write them, each with the program that should be read."""

import pytest

from o1coder_gym.steps.answers import find_program, said_in
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA, is_prose, read_answer, split_chain
from o1coder_gym.steps.source import does_something, parsed
from o1coder_gym.types import ActionType, Step

ADD = "def add(a, b):\n    return a + b"
DRAFT = "def add(a, b):\n    return a - b"
SCRIPT = "a, b = map(int, input().split())\nprint(a + b)"
DOC = 'def add(a, b):\n    """Adds.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b'
CLASS = "class Solution:\n    def add(self, a, b):\n        return a + b"
IMPORTS = "import math\n\n\n" + ADD
BROKEN = "def add(a, b):\n    return a +"


def fence(code, info="python", mark="```"):
    return f"{mark}{info}\n{code}\n{mark}\n"


def indented(text, margin):
    return "".join(f"{margin}{line}" for line in text.splitlines(keepends=True))


# name: text, program
FENCES = {
    "one block": (fence(ADD), ADD),
    "prose around": (f"Sure!\n\n{fence(ADD)}\nIt adds.", ADD),
    "no info string": (fence(ADD, ""), ADD),
    "py": (fence(ADD, "py"), ADD),
    "python3": (fence(ADD, "python3"), ADD),
    "Python in capitals": (fence(ADD, "Python"), ADD),
    "a version": (fence(ADD, "python3.11"), ADD),
    "a space before": (fence(ADD, " python"), ADD),
    "attributes": (fence(ADD, 'python title="add.py" linenums="1"'), ADD),
    "braces": (fence(ADD, "{.python .numberLines}"), ADD),
    "braces of R": (fence(ADD, "{python}"), ADD),
    "a file name": (fence(ADD, "add.py"), ADD),
    "language and file": (fence(ADD, "python:src/add.py"), ADD),
    "another language's name": (fence(ADD, "text"), ADD),
    "tildes": (fence(ADD, mark="~~~"), ADD),
    "tildes with attributes": (fence(ADD, "{.python}", "~~~~"), ADD),
    "four backticks": (fence(ADD, mark="````"), ADD),
    "a longer closing": (f"```python\n{ADD}\n`````\nDone.", ADD),
    "tildes hold backticks": (fence(DOC, mark="~~~"), DOC),
    "backticks in a docstring": (fence(DOC), DOC),
    "backticks in a string": (fence('x = "```"\n' + ADD), 'x = "```"\n' + ADD),
    "backticks end a docstring's line": (fence(f'"""Use ```x```"""\n{ADD}'), f'"""Use ```x```"""\n{ADD}'),
    "indented by three": (indented(fence(ADD), "   "), ADD),
    "indented by a tab": (indented(fence(ADD), "\t"), ADD),
    "in a list": ("1. Code:\n\n" + indented(fence(ADD), "   ") + "\n2. Done.", ADD),
    "a list item itself": ("- " + indented(fence(ADD), "  ").lstrip(), ADD),
    "quoted": (indented(fence(ADD), "> "), ADD),
    "quoted in a list": (indented("- " + indented(fence(ADD), "  ").lstrip(), "> "), ADD),
    "more behind the closing": (f"```python\n{ADD}\n``` That adds.", ADD),
    "a tag behind the closing": (f"```python\n{ADD}\n```</s>", ADD),
    "an end token behind the closing": (f"```python\n{ADD}\n```<|im_end|>\n", ADD),
    "an end token on a line of its own": (f"{fence(ADD)}<|im_end|>", ADD),
    "in an answer's tags": (f"<answer>{fence(ADD)}</answer>", ADD),
    "the language inside the block": (f"```\npython3\n{ADD}\n```", ADD),
    "only the closing is indented": (f"```python\n{ADD}\n    ```\nDone.", ADD),
    "CRLF": (fence(ADD).replace("\n", "\r\n"), ADD),
    "CRLF with prose": (f"Sure:\n{fence(ADD)}Done.\n".replace("\n", "\r\n"), ADD),
    "spaces behind fences": (f"```python  \n{ADD}\n```  \n", ADD),
    "closing at a line's end": (f"```python\n{ADD}```", ADD),
    "closing at a line's end, prose after": (f"```python\n{ADD}```\n\nThis adds a and b.", ADD),
    "closing at a line's end, a block after": (f"```python\n{ADD}```\nUse:\n{fence('add(1, 2)')}", ADD),
    "not closed": (f"```python\n{ADD}", ADD),
    "not closed, tildes": (f"~~~python\n{ADD}\n", ADD),
    "not closed and broken": (f"```python\n{BROKEN}", BROKEN),
    "not closed, another follows": (f"```python\n{DRAFT}\n\nBetter:\n```python\n{ADD}\n```", ADD),
    "closed and broken": (fence(BROKEN), BROKEN),
    "not closed, an end token": (f"```python\n{ADD}<|im_end|>", ADD),
    "not closed, an end token of its own letters": (
        f"```python\n{ADD}\n<\uff5cend\u2581of\u2581sentence\uff5c>",
        ADD,
    ),
    "not closed, the answer's tag": (f"<answer>\n```python\n{ADD}\n</answer>", ADD),
    "not closed, prose after": (f"```python\n{ADD}\n\nExplanation: it adds both.", ADD),
    "not closed, prose on the next line": (f"```python\n{ADD}\nThis adds a and b.\nIt is fast.", ADD),
    "not closed, a list after": (f"```\n{ADD}\n\n1. It adds.\n2. It returns.\n", ADD),
    "not closed, a bold word after": (f"```python\n{ADD}\n\n**Note**: floats work too.", ADD),
    "not closed, cut": (f"```python\nx = 1\n{ADD}\n\nprint(add(1,", f"x = 1\n{ADD}\n\nprint(add(1,"),
    "not closed, a string that reads like prose": (
        f'```python\n{ADD}\nTEXT = """\nThis is text."""',
        f'{ADD}\nTEXT = """\nThis is text."""',
    ),
    "a colon behind the closing": (f"```python\n{ADD}\n```: that adds", ADD),
    "a full stop behind the closing": (f"```python\n{ADD}\n```. Done.", ADD),
    "opened twice": (f"```python\n```python\n{ADD}\n```\n", ADD),
    "opened, then prose, then opened": (f"```python\nSure, here it is:\n```python\n{ADD}\n```\n", ADD),
    "fence behind text": (f"Here it is: ```python\n{ADD}\n```", ADD),
    "all in one line": ("Use ```python def f(x): return x``` here.", "def f(x): return x"),
    "blank lines inside": (fence(f"\n\n{ADD}\n"), f"\n\n{ADD}\n"),
    "empty": (fence(""), ""),
    "empty, then code": (f"```python\n```\n\n{fence(ADD)}", ADD),
    "empty, then bare code": (f"```python\n```\n{ADD}\n", ADD),
}

CHOICES = {
    "a draft first": (fence(DRAFT) + "No, better:\n" + fence(ADD), ADD),
    "usage after": (fence(ADD) + "Use:\n" + fence("print(add(1, 2))"), ADD),
    "usage after, no info": (fence(ADD) + fence("print(add(1, 2))", ""), ADD),
    "draft, program, usage": (fence(DRAFT) + fence(ADD) + fence("print(add(1, 2))"), ADD),
    "shell first": (fence("pip install numpy", "bash") + fence(ADD), ADD),
    "shell first, no info after": (fence("pip install numpy", "sh") + fence(ADD, ""), ADD),
    "shell after": (fence(ADD) + fence("python add.py", "shell"), ADD),
    "text first": (fence("a and b are added", "text") + fence(ADD), ADD),
    "a plan without info first": (fence("1. add a and b", "") + fence(ADD, ""), ADD),
    "output after": (fence(ADD, "") + "Output:\n" + fence("3", ""), ADD),
    "json after": (fence(ADD) + fence('{"a": 1}', "json"), ADD),
    "another language with the name": (fence(ADD) + fence("function add(a, b) {}", "javascript"), ADD),
    "tests after": (fence(ADD) + fence("def test_add():\n    assert add(1, 2) == 3"), ADD),
    "helper after": (fence(ADD) + fence("def helper(x):\n    return x"), ADD),
    "behind text, usage after": (f"Here: {fence(ADD)}Use:\n{fence('print(add(1, 2))')}", ADD),
    "a class with the method": (fence(CLASS) + fence("Solution().add(1, 2)"), CLASS),
    "a lambda": (fence("add = lambda a, b: a + b") + fence("add(1, 2)"), "add = lambda a, b: a + b"),
    "usage that gives the name away": (fence(ADD) + fence("add = add(1, 2)\nprint(add)"), ADD),
    "a lambda that calls itself": (
        fence("add = lambda a, b: add(b, a) if a < b else a + b") + fence("print(add(1, 2))"),
        "add = lambda a, b: add(b, a) if a < b else a + b",
    ),
    "a function of another module": (
        fence("import operator\nadd = operator.add") + fence("print(add(1, 2))"),
        "import operator\nadd = operator.add",
    ),
    "a broken repetition": (fence(ADD) + "Again:\n" + f"```python\n{BROKEN}", ADD),
    "a session after": (fence(ADD) + fence(">>> add(1, 2)\n3", "pycon"), ADD),
    "only a session label": (fence(ADD, "pycon"), ADD),
    "bare code, then usage in a block": (f"{ADD}\n\nUse:\n{fence('add(1, 2)')}", ADD),
    "shell block, then bare code": (f"{fence('pip install x', 'bash')}\n{ADD}\n", ADD),
    "wrong name only": (fence("def plus(a, b):\n    return a + b"), "def plus(a, b):\n    return a + b"),
}

BARE = {
    "a program": (ADD, ADD),
    "with imports": (IMPORTS, IMPORTS),
    "a stray closing fence": (f"{ADD}\n```", ADD),
    "a stray closing fence, prose after": (f"{ADD}\n```\nThis function adds.", ADD),
    "a stray fence at the line's end": (f"{ADD}```\n\nThis function adds.", ADD),
    "prose before": (f"Here is the function:\n\n{ADD}", ADD),
    "prose before and after": (f"Here is the function:\n\n{ADD}\n\nIt's as simple as that.", ADD),
    "indented as CommonMark's code": ("Here it is:\n\n" + indented(ADD, "    "), ADD),
    "in answer tags": (f"<answer>\n{ADD}\n</answer>", ADD),
    "an end token": (f"{ADD}<|endoftext|>", ADD),
    "an end token that is a tag": (f"{ADD}</s>\n", ADD),
    "an end token of its own letters": (f"{ADD}<\uff5cend\u2581of\u2581sentence\uff5c>", ADD),
    "in answer tags, same line": (f"<answer>{ADD}</answer>", ADD),
    "between response tokens": (f"<|START_RESPONSE|>{ADD}<|END_RESPONSE|>", ADD),
    "in HTML": (f'<pre><code class="language-python">{ADD}\n</code></pre>', ADD),
    "the language before": (f"python\n{ADD}", ADD),
    "broken": (BROKEN, BROKEN),
    "one statement": ("x = 1", "x = 1"),
    "one statement and a fence": ("x = 1\n```", "x = 1"),
    "decorated": (f"Note:\n\n@cache\n{ADD}", f"@cache\n{ADD}"),
}

THOUGHTS = {
    "closed": (f"<think>Let me see.</think>\n{fence(ADD)}", ADD),
    "with a draft": (f"<think>\n{fence(DRAFT)}No.\n</think>\n\n{fence(ADD)}", ADD),
    "with an open draft": (f"<think>\n```python\n{DRAFT}\n</think>\n\n{fence(ADD)}", ADD),
    "with bare code": (f"<think>{DRAFT}</think>\n{ADD}", ADD),
    "opened by the template": (f"Let me see.\n{fence(DRAFT)}</think>\n\n{fence(ADD)}", ADD),
    "opened by the template, same line": (f"Easy: a - b? No.</think>\n{fence(ADD)}", ADD),
    "opened by the template, then again": (f"No.</think>\n<think>{fence(DRAFT)}</think>\n{fence(ADD)}", ADD),
    "closed twice": (f"No.</think>\nStill no.</think>\n{fence(ADD)}", ADD),
    "with channels, no turn between": (
        f"<|channel|>analysis<|message|>{fence(DRAFT)}<|end|><|channel|>final<|message|>{fence(ADD)}",
        ADD,
    ),
    "twice": (f"<think>a</think>\n<think>b</think>\n{fence(ADD)}", ADD),
    "empty": (f"<think>\n\n</think>\n\n{fence(ADD)}", ADD),
    "other tags": (f"<thinking>{fence(DRAFT)}</thinking>{fence(ADD)}", ADD),
    "in brackets": (f"[THINK]{DRAFT}[/THINK]{fence(ADD)}", ADD),
    "with channels": (
        "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>"
        + fence(ADD),
        ADD,
    ),
    "with channels, twice": (
        f"<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>analysis<|message|>"
        f"{fence(DRAFT)}<|end|><|start|>assistant<|channel|>final<|message|>{fence(ADD)}<|return|>",
        ADD,
    ),
    "in a channel": (f"<|channel>thought\n{fence(DRAFT)}<channel|>{fence(ADD)}", ADD),
    "between separators": (f"<|open|>think<|sep|>{fence(DRAFT)}<|close|>think<|sep|>{fence(ADD)}", ADD),
    "behind the answer": (f"{fence(ADD)}<think>\nOr is it\n{fence(DRAFT)}</think>\n", ADD),
    "behind the answer, unfinished": (f"{fence(ADD)}<think>\nOr is it\n{fence(DRAFT)}", ADD),
    "behind the bare answer": (f"{ADD}\n\n<think>\n{fence(DRAFT)}</think>\n", ADD),
    "between draft and answer": (f"{fence(DRAFT)}<think>\nNo: {fence(DRAFT)}</think>\n{fence(ADD)}", ADD),
    "a program that names the tag": (
        fence(f's = """\n</think>\n"""\n{ADD}'),
        f's = """\n</think>\n"""\n{ADD}',
    ),
    "behind the opening": (f"```python\n<think>{fence(DRAFT)}</think>\n{fence(ADD)}", ADD),
}

NOTHING = {
    "empty": "",
    "blank": " \n\n",
    "prose": "I would add a and b, then return the sum.",
    "one word": "Sorry",
    "a number": "42",
    "a refusal": "I cannot help with that.\nPlease ask something else.",
    "a list": "1. Add a and b\n2. Return it",
    "a thought only": "<think>Let me see.</think>",
    "an unfinished thought": "<think>Let me see.\n",
    "an unfinished thought with code": f"<think>Let me try:\n{fence(DRAFT)}",
    "prose that names imports": "import the list and sort it\nfrom left to right",
    "a question": "Is x = 1 the answer? If so: return it.",
}


def cases(*tables):
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("mark", ["> ", ">\t", " > ", "- ", "1. "])
def test_marks_without_end_are_read_at_once(mark):
    text = f"{mark * 5000}x\n"
    assert is_prose(VANILLA, text)
    assert VANILLA.boundary(f"```python\n{text}") is None
    assert VANILLA.parse(f"{text}{fence(ADD)}", "add").text == ADD


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit", ["```python\n", "```python\nx\n", "- ```a\n  x\n", "1. \n```", "~~~", "</s> ", "```\n"]
)
def test_answers_that_repeat_themselves_are_read_in_time(unit):
    text = fence(ADD) + unit * (120_000 // len(unit))
    assert find_program(text, "add") == ADD


@pytest.mark.timeout(30)
@pytest.mark.parametrize("unit", ["    if x:\n", "for x in y\n", "```a\n<think>\n", "x = (\n", "`"])
def test_lines_that_repeat_themselves_are_no_program_in_time(unit):
    text = unit * (120_000 // len(unit))
    assert not does_something(find_program(text, "add") or "")
    assert PSEUDOCODE.parse(text).type is ActionType.MALFORMED


@pytest.mark.parametrize(("text", "program"), cases(FENCES, CHOICES, BARE, THOUGHTS))
def test_the_program_in_an_answer(text, program):
    assert VANILLA.parse(text, "add") == Step(ActionType.CODE, program)
    answered = read_answer(VANILLA, "```python\n", "add", text)
    assert VANILLA.parse(answered) == Step(
        ActionType.CODE, program
    )  # whoever reads it again, and without the name
    assert not program or not is_prose(VANILLA, text)
    (whole,) = split_chain(VANILLA, text)
    assert VANILLA.parse(whole, "add").text == program


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NOTHING.items()])
def test_what_holds_no_program_is_malformed_or_prose(text):
    step = VANILLA.parse(text, "add")
    if not text.strip() or "<think>" in text:
        assert step.type is ActionType.MALFORMED
        assert VANILLA.complaint(text)
    else:  # an episode of one turn has to end with it
        assert step == Step(ActionType.CODE, text)
    assert is_prose(VANILLA, text)


@pytest.mark.parametrize(
    ("text", "program"),
    cases({name: case for name, case in (FENCES | CHOICES).items() if parsed(case[1]) and case[1]}),
)
def test_a_code_step_is_read_alike(text, program):
    assert PSEUDOCODE.parse(f"### Step 2 (code)\n{text}", "add") == Step(ActionType.CODE, program)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (fence("5\n1 2", "") + fence(SCRIPT, ""), SCRIPT),
        (fence(SCRIPT) + "Run:\n" + fence("python add.py < in", "bash"), SCRIPT),
        (fence(SCRIPT) + fence("3", "") + fence("print(3)"), SCRIPT),
        (fence(f"import sys\n{SCRIPT}") + "Better:\n" + fence(SCRIPT), SCRIPT),
        (f"Read both:\n\n{SCRIPT}\n\nThat is all.", SCRIPT),
    ],
)
def test_whole_programs_read_their_input(text, program):
    assert VANILLA.parse(text) == Step(ActionType.CODE, program)


STEP_2 = "### Step 2 ("


@pytest.mark.parametrize(("text", "program"), cases(THOUGHTS))
def test_a_program_behind_thoughts_is_a_code_step(text, program):
    action = read_answer(PSEUDOCODE, STEP_2, "add", text)
    assert PSEUDOCODE.parse(action, "add") == Step(ActionType.CODE, program)
    assert PSEUDOCODE.boundary(action + "\n\n### Step 3 (") is not None


@pytest.mark.parametrize(
    ("opening", "answer", "step"),
    [
        ("### Step 1 (define)\n", "a plan", Step(ActionType.DEFINE, "a plan")),
        ("### Step 1 (define)\n", "### Step 1 (define)\na plan", Step(ActionType.DEFINE, "a plan")),
        (
            "### Step 1 (define)\n",
            "\n### Step 1 (define)\na plan\n\n### Step 2 (code)\n",
            Step(ActionType.DEFINE, "a plan"),
        ),
        ("### Step 1 (define)\n", f"### Step 1 (code)\n{fence(ADD)}", Step(ActionType.CODE, ADD)),
        (STEP_2, "refine)\nmore", Step(ActionType.REFINE, "more")),
        (STEP_2, "Sure:\n\n### Step 2 (refine)\nmore\n", Step(ActionType.REFINE, "more")),
        (STEP_2, "### Step 1 (define)\na\n\n### Step 2 (refine)\nmore\n", Step(ActionType.REFINE, "more")),
        (STEP_2, "### Step 9 (refine)\nmore", Step(ActionType.REFINE, "more")),
        (
            STEP_2,
            f"<think>### Step 2 (refine)\nno</think>\n{STEP_2}refine)\nmore",
            Step(ActionType.REFINE, "more"),
        ),
        (STEP_2, f"{STEP_2}code)\n{fence(DRAFT)}Better:\n{fence(ADD)}", Step(ActionType.CODE, ADD)),
        (STEP_2, f"{STEP_2}code)\n{fence(ADD)}### Step 3 (code)\n{fence(DRAFT)}", Step(ActionType.CODE, ADD)),
        (STEP_2, f"Here you are:\n{fence(ADD)}", Step(ActionType.CODE, ADD)),
        (STEP_2, ADD, Step(ActionType.CODE, ADD)),
        (STEP_2, "code)\n" + fence(ADD), Step(ActionType.CODE, ADD)),
    ],
)
def test_an_answer_without_its_opening_is_one_step(opening, answer, step):
    action = read_answer(PSEUDOCODE, opening, "add", answer)
    assert PSEUDOCODE.parse(action) == step


@pytest.mark.parametrize("answer", ["<think>hm", "Sorry, no.", ""])
def test_an_answer_without_a_step_is_malformed(answer):
    assert PSEUDOCODE.parse(read_answer(PSEUDOCODE, STEP_2, "add", answer)).type is ActionType.MALFORMED


def test_thoughts_stay_in_the_record_and_out_of_the_step():
    for step_format, answer in ((VANILLA, fence(ADD)), (PSEUDOCODE, f"{STEP_2}code)\n{fence(ADD)}")):
        action = read_answer(step_format, STEP_2, "add", f"<think>hm</think>{answer}")
        assert action.startswith("<think>hm</think>")
        assert step_format.parse(action) == Step(ActionType.CODE, ADD)


@pytest.mark.parametrize("tag", ["<think>", "\\<think>", "[THINK]", "\n<think>", "  <think>"])
def test_a_body_that_begins_with_a_tag_is_text(tag):
    step = Step(ActionType.DEFINE, f"{tag} is written first</think>\nand then the rest")
    assert PSEUDOCODE.parse(PSEUDOCODE.render(step, 1)) == step


@pytest.mark.parametrize("text", ["<|START_THINKING|>", "<think>a</think>", "<think>a</think>\nb"])
def test_a_program_that_is_a_tag_is_text(text):
    assert VANILLA.parse(fence(text)) == Step(ActionType.CODE, text)
    behind = f"```python\n<think>hm</think>\n{ADD}\n```"
    assert VANILLA.parse(behind) == Step(ActionType.CODE, ADD)


def test_a_thought_in_a_step_neither_counts_nor_ends_it():
    action = f"### Step 2 (code)\n<think>\n{fence(DRAFT)}### Step 3 (code)\n</think>\n{fence(ADD)}"
    assert PSEUDOCODE.boundary(action) == len(action)
    assert PSEUDOCODE.boundary(action[:60]) is None
    assert PSEUDOCODE.parse(action) == Step(ActionType.CODE, ADD)


def test_a_thought_may_be_longer_than_a_step():
    thought = "<think>" + "x" * VANILLA.max_chars + "</think>"
    assert VANILLA.parse(thought + fence(ADD)).text == ADD
    assert PSEUDOCODE.parse(f"{thought}### Step 1 (define)\nplan") == Step(ActionType.DEFINE, "plan")


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"content": "a"}, "a"),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": ["a", {"type": "image"}, {"type": "text", "text": None}]}, "a"),
        ({"content": "a", "reasoning_content": "hm\n"}, "<think>\nhm\n</think>\n\na"),
        ({"content": None, "reasoning": "hm"}, "<think>\nhm\n</think>\n\n"),
        ({"content": "<think>hm</think>a", "reasoning": "hm"}, "<think>hm</think>a"),
        ({"content": 3, "reasoning": {"text": "hm"}}, ""),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
            "<think>\nhm\n</think>\n\na",
        ),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "a"]},
            "<think>\nhm\n</think>\n\na",
        ),
        ({"content": [{"type": "reasoning", "text": "hm"}, "a"]}, "<think>\nhm\n</think>\n\na"),
        ({"content": [{"type": "tool_use", "name": "f"}, {"type": "text", "text": {"value": 3}}]}, ""),
    ],
)
def test_what_a_turn_says(turn, said):
    assert said_in(turn) == said
