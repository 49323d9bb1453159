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

What a model thinks before an action, or before the body of a step, is no part of it (`steps.thinking`); a
body that begins with such a tag of its own has a backslash before it too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from o1coder_gym.specs import registry
from o1coder_gym.steps import prompts
from o1coder_gym.steps.answers import bare_program, fenced_program, program_in
from o1coder_gym.steps.fences import blocks, fenced, first_end
from o1coder_gym.steps.thinking import OPENING, end_of_thought, split_thought
from o1coder_gym.types import ActionType, Problem, State, Step

_HEADER = re.compile(r"\s*###[ \t]*step[ \t]*\d*[ \t]*\([ \t]*([a-z]+)[ \t]*\)[ \t]*:?[ \t\r]*\n?", re.I)
_NEXT_STEP = re.compile(r"^###[ \t]*step", re.I | re.M)
_ESCAPABLE = re.compile(rf"^(\\*(?:###[ \t]*step|{OPENING}))", re.I | re.M)
_ESCAPED = re.compile(rf"^\\(\\*(?:###[ \t]*step|{OPENING}))", re.I | re.M)
_THOUGHT_IN_BODY = re.compile(rf"\n*(?={OPENING})")
_FENCE_START = re.compile(r"\s*(?:`{3,}|~{3,})[^\n]*\n")
_HEADERS = re.compile(rf"^[ \t]*{_HEADER.pattern[3:]}", re.I | re.M)
_NUMBER = re.compile(r"\d+")
_KIND = re.compile(r"\s*([a-z]+)[ \t]*\)", re.I)
_OPENINGS = re.compile(
    rf"^### Step 1 \([a-z]+\)\n|^### Step (?!1 )\d+ \(|\A{re.escape(prompts.VANILLA_OPENING)}```python\n",
    re.M,
)
_EMPTY = "The action is empty; write a program in a ```python block."
_UNFINISHED = "The action is a thought only; think shorter and write the step behind it."
_NO_HEADER = 'A step must start with a header such as "### Step 1 (define)".'
_PROGRAMS = (ActionType.CODE, ActionType.HELPER)
"""Steps whose body is a program in a fence."""


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

    def parse(self, action: str, entry_point: str | None = None) -> Step:
        """Reads an action; never raises. `MALFORMED` holds the raw text, cut to ``max_chars + 1``.

        Args:
            action: What was written; thoughts in it are left out.
            entry_point: Name that a program is to define; tells programs from drafts and usage.
        """
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
class Words:
    """How a format that writes headers names its steps and asks for them.

    Attributes:
        kinds: The word in a header and the action that it stands for; the first step is the first of them.
        system: The instruction.
        example: A question and its answer in this format.
    """

    kinds: tuple[tuple[str, ActionType], ...]
    system: str
    example: tuple[str, str]


_PAPER = Words(
    (("define", ActionType.DEFINE), ("refine", ActionType.REFINE), ("code", ActionType.CODE)),
    prompts.PSEUDOCODE_SYSTEM,
    (prompts.EXAMPLE_QUESTION, prompts.EXAMPLE_ANSWER),
)


@dataclass(frozen=True, slots=True)
class PseudocodeFormat:
    """Steps under headers; the paper's are define, refine, code (section 2)."""

    name: str = "pseudocode"
    max_chars: int = 16_384
    words: Words = _PAPER

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """Instruction, one worked example, the question; the first header is given whole."""
        question, answer = self.words.example
        messages = (
            ("system", self.words.system),
            ("user", question),
            ("assistant", answer),
            ("user", prompts.question(problem)),
        )
        number = state.depth + 1
        first, _ = self.words.kinds[0]
        opening = f"### Step 1 ({first})\n" if number == 1 else f"### Step {number} ("
        return Prompt(messages, _transcript(self, state) + opening, opening, ("\n### Step",))

    def render(self, step: Step, index: int) -> str:
        """Header and body; a malformed step is its raw text."""
        if step.type is ActionType.MALFORMED:
            return step.text
        body = fenced(step.text) if step.type in _PROGRAMS else _escape(step.text) + "\n"
        word = next((word for word, kind in self.words.kinds if kind is step.type), step.type.name.lower())
        return f"### Step {index} ({word})\n{body}"

    def parse(self, action: str, entry_point: str | None = None) -> Step:
        """Lenient on number, case, trailing whitespace, and on text around the fence of a code step."""
        if self.complaint(action):
            return _malformed(action, self.max_chars)
        word, body = _split(_said(action))
        kind, body = self._kind(word), _body_said(body)
        assert kind is not None
        if kind in _PROGRAMS:
            # A helper defines a name of its own, so the entry point tells nothing about it.
            name = entry_point if kind is ActionType.CODE else None
            return Step(kind, fenced_program(body, name) or "")
        return Step(kind, _unescape(body))

    def complaint(self, action: str) -> str:
        """One action, one header, one body."""
        said = _said(action)
        if action.strip() and not said.strip():
            return _UNFINISHED
        if len(said) > self.max_chars:
            return _too_long(said, self.max_chars)
        word, body = _split(said)
        if not word:
            return _NO_HEADER
        if (kind := self._kind(word)) is None:
            *others, last = (known for known, _ in self.words.kinds)
            return f"A step is {', '.join(others)} or {last}, not {word[:40]!r}."
        body = _body_said(body)
        if kind in _PROGRAMS:
            return "" if fenced_program(body) is not None else f"A {word} step needs a ```python block."
        if not body.strip():
            return "The step is empty."
        if _NEXT_STEP.search(body):
            return "An action is one step; this one holds a second step header."
        return ""

    def boundary(self, action: str) -> int | None:
        """Where the next header begins; in a code step after the line of the closing fence."""
        thought = end_of_thought(action)
        if thought is None:
            return None
        kind, body = _split(action[thought:])
        start = len(action) - len(body)
        if kind and _THOUGHT_IN_BODY.match(body):
            if (thought := end_of_thought(body)) is None:
                return None
            start, body = start + thought, body[thought:]
        if self._kind(kind) in _PROGRAMS and (end := first_end(body)) != 0:
            return None if end is None else start + end
        following = _NEXT_STEP.search(body, 0 if kind else 1)
        return start + following.start() if following else None

    def split(self, text: str) -> list[str]:
        """Cuts at headers; what follows a program up to the next header stays with it, to be read as one."""
        actions: list[str] = []
        rest = _said(text)
        while rest.strip():
            end = self.boundary(rest)
            if self._kind(_split(rest)[0]) in _PROGRAMS:
                # Behind a program a model may go on with usage or remarks: they stay with the step up to the
                # next header.
                following = _NEXT_STEP.search(rest, end or len(rest))
                end = following.start() if following else None
            actions.append(rest[:end])
            rest = rest[end:] if end is not None else ""
        return actions

    def read_answer(self, answer: str, opening: str, entry_point: str | None = None) -> str:
        """Takes the step with the number that was asked for, else the first; without a header what is said.

        A program without a header is a code step, for a model may leave the steps out.
        """
        thought = split_thought(answer)
        said, number = thought.answer, _number(opening)
        if headers := list(_HEADERS.finditer(said)):
            asked = next((one for one in headers if _number(one[0]) == number), headers[0])
            return thought.text + self._first_step(said[asked.start() :], entry_point)
        begins = _KIND.match(said)
        if not opening.rstrip().endswith("(") or (begins and self._kind(begins[1].lower())):
            continued = opening + _without(said, opening.strip())
            return thought.text + continued[: self.boundary(continued)]
        program = fenced_program(said, entry_point)
        if program is None:
            return answer
        return thought.text + self.render(Step(ActionType.CODE, program), int(number or 1))

    def _kind(self, word: str) -> ActionType | None:
        """Returns the action that a word in a header stands for."""
        return next((kind for known, kind in self.words.kinds if known == word), None)

    def _first_step(self, text: str, entry_point: str | None) -> str:
        """Returns the action at the beginning of a text, a program by itself."""
        (first, *_) = self.split(text)
        kind, body = _split(first)
        known = self._kind(kind)
        name = entry_point if known is ActionType.CODE else None
        program = fenced_program(body, name) if known in _PROGRAMS else None
        return first.rstrip() if program is None else first[: len(first) - len(body)] + fenced(program)


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
        return fenced(step.text) if step.type is ActionType.CODE else step.text

    def parse(self, action: str, entry_point: str | None = None) -> Step:
        """The program, from a fence or from among the text; prose is the program that it is not."""
        if self.complaint(action):
            return _malformed(action, self.max_chars)
        said = _program_said(action)
        program = program_in(said, entry_point)
        return Step(ActionType.CODE, said.rstrip() if program is None else program)

    def complaint(self, action: str) -> str:
        """Nothing, too much, and a thought without an end are malformed."""
        said = _program_said(action)
        if not said.strip():
            return _UNFINISHED if action.strip() else _EMPTY
        return _too_long(said, self.max_chars) if len(said) > self.max_chars else ""

    def is_prose(self, action: str) -> bool:
        """Whether an action holds no program, though it is judged as one."""
        return program_in(_program_said(action)) is None

    def boundary(self, action: str) -> int | None:
        """After the line of the closing fence."""
        thought = end_of_thought(action)
        if thought is None or (end := first_end(action[thought:])) is None:
            return None
        return thought + end if end else None

    def split(self, text: str) -> list[str]:
        """Returns the whole text: it is one program."""
        return [text] if text.strip() else []

    def read_answer(self, answer: str, opening: str, entry_point: str | None = None) -> str:
        """Returns the program in a fence, or the answer itself where it holds none."""
        thought = split_thought(answer)
        program = program_in(thought.answer, entry_point)
        return answer if program is None else f"{thought.text}\n{fenced(program)}".lstrip("\n")


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


def read_action(step_format: StepFormat, action: str, entry_point: str | None) -> Step:
    """Reads an action that may name its program, also in a format of a package that knows no entry points."""
    return step_format.parse(action, entry_point) if _knows(type(step_format)) else step_format.parse(action)


def is_prose(step_format: StepFormat, action: str) -> bool:
    """Whether an action that is taken for a program holds none; only vanilla's can."""
    reader = getattr(step_format, "is_prose", None)
    return reader is not None and reader(action)


def read_answer(step_format: StepFormat, opening: str, entry_point: str | None, answer: str) -> str:
    """Returns the action in an answer that was given without its opening, e.g. by a chat server.

    Args:
        step_format: The format that was asked for.
        opening: What the answer was asked to begin with.
        entry_point: See `StepFormat.parse`.
        answer: All that was said, thoughts included; these stay before the action.
    """
    reader = getattr(step_format, "read_answer", None)
    if reader is not None:
        return reader(answer, opening, entry_point)
    thought = split_thought(answer)
    action = opening + _without(thought.answer, opening.strip())
    return thought.text + action[: step_format.boundary(action)]


def split_chain(step_format: StepFormat, text: str) -> list[str]:
    """Cuts a whole chain into the texts of its steps, up to the first program."""
    if (splitter := getattr(step_format, "split", None)) is not None:
        texts = splitter(text)
    else:
        texts, rest = [], text
        while rest.strip():
            end = step_format.boundary(rest)
            texts.append(rest[:end])
            rest = rest[end:] if end else ""
    programs = [i for i, one in enumerate(texts) if step_format.parse(one).type is ActionType.CODE]
    return texts[: programs[0] + 1] if programs else texts


def opening_ends(answer: str) -> list[int]:
    """Returns where in a whole answer the openings end that a policy is given, ascending."""
    return [found.end() for found in _OPENINGS.finditer(answer)]


def _transcript(step_format: StepFormat, state: State) -> str:
    """Returns the steps so far, each ending its line and followed by a blank one."""
    texts = (step_format.render(step, index) for index, step in enumerate(state.steps, start=1))
    return "".join(f"{text.rstrip()}\n\n" for text in texts)


def _split(action: str) -> tuple[str, str]:
    """Returns the header's word in lower case ("" without a header) and the text after the header."""
    header = _HEADER.match(action)
    return (header[1].lower(), action[header.end() :]) if header else ("", action)


def _said(action: str) -> str:
    """Returns an action without the thoughts before it; empty while they last."""
    end = end_of_thought(action)
    if end is None:
        return ""
    return action[end:] if end or _HEADER.match(action) else split_thought(action).answer


def _body_said(body: str) -> str:
    """Returns the body of a step without the thoughts at its beginning."""
    if not _THOUGHT_IN_BODY.match(body):
        return body
    end = end_of_thought(body)
    return "" if end is None else body[end:]


def _program_said(action: str) -> str:
    """Returns a program's text without thoughts, also behind an opening that a model thought over."""
    opening = _FENCE_START.match(action)
    if opening and _THOUGHT_IN_BODY.match(action, opening.end()):
        body = action[opening.end() :]
        if bare_program(_body_said(body)) or not _is_one_block(action):
            action = body
    return split_thought(action).answer


def _is_one_block(text: str) -> bool:
    found = blocks(text)
    return len(found) == 1 and found[0].closed and not text[found[0].end :].strip()


def _without(said: str, opening: str) -> str:
    """Drops an opening that was repeated, with what stands before it."""
    start = said.find(opening)
    return said[start + len(opening) :].removeprefix("\n") if start >= 0 else said


@lru_cache(maxsize=64)
def _knows(kind: type[StepFormat]) -> bool:
    return "entry_point" in inspect.signature(kind.parse).parameters


def _number(text: str) -> str:
    """Returns the first number in a text, "" without one."""
    found = _NUMBER.search(text)
    return found[0] if found else ""


def _malformed(action: str, max_chars: int) -> Step:
    return Step(ActionType.MALFORMED, action[: max_chars + 1])


def _too_long(action: str, max_chars: int) -> str:
    return f"The action has {len(action)} characters; at most {max_chars} are allowed."


def _escape(text: str) -> str:
    escaped = _ESCAPABLE.sub(r"\\\1", text)
    # Bodies are stripped when they are read: the backslash keeps an empty body, trailing whitespace or a
    # trailing backslash from being lost.
    plain = escaped and not escaped[-1].isspace() and escaped[-1] != "\\"
    return escaped if plain else escaped + "\\"


def _unescape(body: str) -> str:
    return _ESCAPED.sub(r"\1", body.rstrip().removesuffix("\\"))
