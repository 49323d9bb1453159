"""The texts that the step formats show to a language model.

The instruction follows section 2 of the paper: three action types, one action per step, the reasoning
of each step explained, a worked example, the question.
"""

from __future__ import annotations

from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, TestCase

PSEUDOCODE_SYSTEM = """\
You solve Python programming problems step by step: first pseudocode, then code. Each step is one action:
- define: define the structure of the algorithm in pseudocode (functions, inputs, outputs, main idea).
- refine: refine a part of the pseudocode: name the data structures, the loops and the special cases.
- code: write the final Python program that follows the pseudocode, in one ```python block.
Write one action per step, under a header such as "### Step 2 (refine)". Explain the reasoning of a step in \
one or two sentences, then give its pseudocode. Refine as often as needed; the code step is the last one."""

EXAMPLE_QUESTION = """\
Write a function `longest_run(values, limit)` that returns the length of the longest contiguous part of the \
list `values` whose sum is at most `limit`. All values are positive. Return 0 if there is none.
The program must define `longest_run`.
Examples:
assert longest_run([1, 2, 3], 3) == 2"""

EXAMPLE_ANSWER = """\
### Step 1 (define)
All values are positive, so a window that is too heavy only gets lighter by dropping values on its left.
function longest_run(values: list of int, limit: int) -> int
    for each right end of the window
        add the value, then shrink from the left while the sum is above limit
        remember the widest window
    return the widest width

### Step 2 (refine)
Track the sum and the left end, so that no part is added up twice. An empty list or a single value above \
limit gives width 0.
left = 0, total = 0, best = 0
for right from 0 to length - 1
    total = total + values[right]
    while total > limit: total = total - values[left], left = left + 1
    best = max(best, right - left + 1)
return best

### Step 3 (code)
```python
def longest_run(values, limit):
    left = total = best = 0
    for right, value in enumerate(values):
        total += value
        while total > limit:
            total -= values[left]
            left += 1
        best = max(best, right - left + 1)
    return best
```
"""

VANILLA_INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem "
    "in a markdown code block:"
)

VANILLA_OPENING = (
    "Below is a Python script with a self-contained function that solves the problem and passes "
    "corresponding tests:\n"
)


def question(problem: Problem) -> str:
    """Returns the question as the model sees it: prompt, entry point, public tests not shown in it."""
    parts = [problem.prompt.strip("\n")]
    if problem.entry_point and f"def {problem.entry_point}" not in problem.prompt:
        parts.append(f"The program must define `{problem.entry_point}`.")
    elif problem.entry_point is None:
        parts.append("The program must read from standard input and print to standard output.")
    examples = [_example(problem, test) for test in problem.public_tests if not _is_shown(problem, test)]
    if any(examples):
        parts.append("Examples:\n" + "\n".join(filter(None, examples)))
    return "\n".join(parts)


def _is_shown(problem: Problem, test: TestCase) -> bool:
    """Whether the prompt holds the example already, as an assert or as a call in its docstring."""
    match test:
        case CallTest(args):
            text = f"{problem.entry_point}({_arguments(args)})"
        case AssertTest(code):
            text = code
        case StdioTest(stdin) | CheckerTest(stdin):
            text = stdin
        case CheckTest():
            return True
    return "".join(text.split()) in "".join(problem.prompt.split())


def _example(problem: Problem, test: TestCase) -> str:
    match test:
        case CallTest(args, expected):
            return f"assert {problem.entry_point}({_arguments(args)}) == {expected}"
        case AssertTest(code):
            return code.strip()
        case StdioTest(stdin, stdout) | CheckerTest(stdin, _, stdout):
            return f"Input:\n{stdin.rstrip()}\nOutput:\n{stdout.rstrip()}"
        case CheckTest():
            return ""


def _arguments(args: str) -> str:
    """Turns the literal of an argument list into what stands between a call's brackets."""
    return args.strip()[1:-1].strip()
