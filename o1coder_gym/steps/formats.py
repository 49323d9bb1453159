r"""The step formats: how a step is written as text, read back, and asked for.

The text of an action is self-contained. In the pseudocode format it is a header and a body::

    ### Step 2 (refine)
    Track the sum and the left end.

    ### Step 3 (code)
    ```python
    print("done")
    ```

`parse(render(step, index)) == step` holds for every text (up to `max_chars` once rendered), because:

* a program that holds a fence line is fenced by more backticks than that line has, as in CommonMark;
* in define and refine bodies a line that starts with ``### Step`` is written with a backslash before it
  (one more if it already has some);
* trailing whitespace carries no meaning; a body that is empty, ends in whitespace or ends in a backslash
  is written with one backslash at its end.

A Python fence in a define or refine step is part of its text: it neither ends the episode nor is code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from o1coder_gym import registry
from o1coder_gym.steps import prompts
from o1coder_gym.types import ActionType, Problem, State, Step

_HEADER = re.compile(r"\s*###[ \t]*step[ \t]*\d*[ \t]*\([ \t]*([a-z]+)[ \t]*\)[ \t]*:?[ \t\r]*\n?", re.I)
_NEXT_STEP = re.compile(r"^###[ \t]*step", re.I | re.M)
_ESCAPABLE = re.compile(r"^(\\*###[ \t]*step)", re.I | re.M)
_ESCAPED = re.compile(r"^\\(\\*###[ \t]*step)", re.I | re.M)
_FENCE_OPEN = re.compile(r"^[ \t]*(`{3,})[ \t]*([\w+-]*)[ \t\r]*\n", re.M)
_FENCE_LINE = re.compile(r"^[ \t]*(`{3,})", re.M)
_TYPES = {"define": ActionType.DEFINE, "refine": ActionType.REFINE, "code": ActionType.CODE}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is shown.

    Attributes:
        messages: ``(role, content)`` turns, roles system, user and assistant; the last is a user turn.
        prefill: Beginning of the assistant turn that the model continues: the steps so far and `opening`.
        opening: The end of `prefill` that belongs to the next action; action = opening + continuation.
        stop: Strings before which an engine that cannot ask for the `boundary` may stop: an action never
            goes on behind one.
    """

    messages: tuple[tuple[str, str], ...]
    prefill: str
    opening: str
    stop: tuple[str, ...] = ()


class StepFormat(Protocol):
    """A way to write reasoning steps."""

    @property
    def name(self) -> str:
        """The key in `FORMATS`."""
        ...

    @property
    def max_chars(self) -> int:
        """Longest action in characters; what is longer is malformed."""
        ...

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """Returns what the model is shown to act in `state`."""
        ...

    def render(self, step: Step, index: int) -> str:
        """Returns the action text of `step`, which is step number `index` (from 1) of its chain."""
        ...

    def parse(self, action: str) -> Step:
        """Reads an action; never raises. `MALFORMED` holds the raw text, cut to ``max_chars + 1``."""
        ...

    def complaint(self, action: str) -> str:
        """Returns one sentence that says why `action` is malformed, or "" if it is fine."""
        ...

    def boundary(self, action: str) -> int | None:
        """Returns where the first action in a text ends, None while it is incomplete.

        Args:
            action: Text that starts with the action's opening and grows as the model writes.
        """
        ...


@dataclass(frozen=True, slots=True)
class PseudocodeFormat:
    """The paper's format: define, refine, code (section 2)."""

    name: str = "pseudocode"
    max_chars: int = 16_384

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """Instruction, one worked example, the question; the first header is given whole."""
        messages = (
            ("system", prompts.PSEUDOCODE_SYSTEM),
            ("user", prompts.EXAMPLE_QUESTION),
            ("assistant", prompts.EXAMPLE_ANSWER),
            ("user", prompts.question(problem)),
        )
        number = state.depth + 1
        opening = "### Step 1 (define)\n" if number == 1 else f"### Step {number} ("
        return Prompt(messages, _transcript(self, state) + opening, opening, ("\n### Step",))

    def render(self, step: Step, index: int) -> str:
        """Header and body; a malformed step is its raw text."""
        if step.type is ActionType.MALFORMED:
            return step.text
        body = _fenced(step.text) if step.type is ActionType.CODE else _escape(step.text) + "\n"
        return f"### Step {index} ({step.type.name.lower()})\n{body}"

    def parse(self, action: str) -> Step:
        """Lenient on number, case, trailing whitespace, and on text around the fence of a code step."""
        if self.complaint(action):
            return _malformed(action, self.max_chars)
        kind, body = _split(action)
        if kind == "code":
            return Step(ActionType.CODE, _first_block(body) or "")
        return Step(_TYPES[kind], _unescape(body))

    def complaint(self, action: str) -> str:
        """One action, one header, one body."""
        if len(action) > self.max_chars:
            return _too_long(action, self.max_chars)
        kind, body = _split(action)
        if not kind:
            return 'A step must start with a header such as "### Step 1 (define)".'
        if kind not in _TYPES:
            return f"A step is define, refine or code, not {kind[:40]!r}."
        if kind == "code":
            return "" if _first_block(body) is not None else "A code step needs a ```python block."
        if not body.strip():
            return "The step is empty."
        if _NEXT_STEP.search(body):
            return "An action is one step; this one holds a second step header."
        return ""

    def boundary(self, action: str) -> int | None:
        """Where the next header begins; in a code step after the line of the closing fence."""
        kind, body = _split(action)
        start = len(action) - len(body)
        if kind == "code" and (end := _block_end(body)) != 0:
            return None if end is None else start + end
        following = _NEXT_STEP.search(body, 0 if kind else 1)
        return start + following.start() if following else None


@dataclass(frozen=True, slots=True)
class VanillaFormat:
    """No reasoning steps: one action is one program."""

    name: str = "vanilla"
    max_chars: int = 16_384

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """EvalPlus' instruct prompt, the fence opened."""
        content = f"{prompts.VANILLA_INSTRUCTION}\n```\n{prompts.question(problem)}\n```"
        opening = "```python\n"
        transcript = _transcript(self, state)
        prefill = transcript + prompts.VANILLA_OPENING + opening
        return Prompt((("user", content),), prefill, opening, ("\n```",))

    def render(self, step: Step, index: int) -> str:
        """The program in a fence; any other step is its raw text."""
        return _fenced(step.text) if step.type is ActionType.CODE else step.text

    def parse(self, action: str) -> Step:
        """The first fenced block, or the whole text where there is none."""
        if self.complaint(action):
            return _malformed(action, self.max_chars)
        block = _first_block(action)
        return Step(ActionType.CODE, action.rstrip() if block is None else block)

    def complaint(self, action: str) -> str:
        """Only nothing and too much are malformed."""
        if len(action) > self.max_chars:
            return _too_long(action, self.max_chars)
        return "" if action.strip() else "The action is empty; write a program in a ```python block."

    def boundary(self, action: str) -> int | None:
        """After the line of the closing fence."""
        return _block_end(action) or None


PSEUDOCODE: StepFormat = PseudocodeFormat()
VANILLA: StepFormat = VanillaFormat()
FORMATS: Mapping[str, StepFormat] = registry.BuiltIn("format")
"""The step formats of this project by name."""


def load_format(name: str) -> StepFormat:
    """Returns the format called `name`, one of this project or of an installed package.

    Raises:
        UnknownNameError: When there is none.
        PluginError: When its package does not work.
    """
    return registry.find("format", name).object()


def _transcript(step_format: StepFormat, state: State) -> str:
    """Returns the steps so far, each ending its line and followed by a blank one."""
    texts = (step_format.render(step, index) for index, step in enumerate(state.steps, start=1))
    return "".join(f"{text.rstrip()}\n\n" for text in texts)


def _split(action: str) -> tuple[str, str]:
    """Returns the header's word in lower case ("" without a header) and the text after the header."""
    header = _HEADER.match(action)
    return (header[1].lower(), action[header.end() :]) if header else ("", action)


def _malformed(action: str, max_chars: int) -> Step:
    return Step(ActionType.MALFORMED, action[: max_chars + 1])


def _too_long(action: str, max_chars: int) -> str:
    return f"The action has {len(action)} characters; at most {max_chars} are allowed."


def _escape(text: str) -> str:
    escaped = _ESCAPABLE.sub(r"\\\1", text)
    plain = escaped and not escaped[-1].isspace() and escaped[-1] != "\\"
    return escaped if plain else escaped + "\\"


def _unescape(body: str) -> str:
    return _ESCAPED.sub(r"\1", body.rstrip().removesuffix("\\"))


def _fenced(code: str) -> str:
    longest = max((len(fence) for fence in _FENCE_LINE.findall(code)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}\n"


def _closing(text: str, fence: re.Match[str]) -> re.Match[str] | None:
    return re.compile(rf"^[ \t]*`{{{len(fence[1])},}}[ \t\r]*(\n|\Z)", re.M).search(text, fence.end())


def _first_block(text: str) -> str | None:
    """Returns the first fenced block's content, None without a fence; an open fence runs to the end."""
    fence = _FENCE_OPEN.search(text)
    if fence is None:
        return None
    closing = _closing(text, fence)
    return text[fence.end() : closing.start() if closing else len(text)].removesuffix("\n")


def _block_end(text: str) -> int | None:
    """Returns where the line of the first closing fence ends; None while open, 0 without a fence."""
    fence = _FENCE_OPEN.search(text)
    if fence is None:
        return 0
    closing = _closing(text, fence)
    return closing.end() if closing and closing[1] else None
