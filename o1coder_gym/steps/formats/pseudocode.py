r"""Steps under headers, the paper's format.

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

What a model thinks before an action, or before the body of a step, is not part of it (`steps.thinking`); a
body that begins with such a tag of its own has a backslash before it too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from o1coder_gym.steps import prompts
from o1coder_gym.steps.answers import fenced_program
from o1coder_gym.steps.fences import fenced, first_end, openings_end
from o1coder_gym.steps.formats.actions import THOUGHT_IN_BODY, UNFINISHED, body_said, malformed, too_long
from o1coder_gym.steps.formats.format import Prompt, StepFormat, transcript, without
from o1coder_gym.steps.thinking import OPENING, end_of_thought, split_thought
from o1coder_gym.types import ActionType, Problem, State, Step

_HEADER = re.compile(r"\s*###[ \t]*step[ \t]*\d*[ \t]*\([ \t]*([a-z]+)[ \t]*\)[ \t]*:?[ \t\r]*\n?", re.I)
_STEP = re.compile(r"###[ \t]*step", re.I)
_NEXT_STEP = re.compile(f"^{_STEP.pattern}", re.I | re.M)
_ESCAPABLE = re.compile(rf"^(\\*(?:###[ \t]*step|{OPENING}))", re.I | re.M)
_ESCAPED = re.compile(rf"^\\(\\*(?:###[ \t]*step|{OPENING}))", re.I | re.M)
_HEADERS = re.compile(rf"^[ \t]*{_HEADER.pattern[3:]}", re.I | re.M)
_NUMBER = re.compile(r"\d+")
_KIND = re.compile(r"\s*([a-z]+)[ \t]*\)", re.I)
_NO_HEADER = 'A step must start with a header such as "### Step 1 (define)".'
_PROGRAMS = (ActionType.CODE, ActionType.HELPER)
"""Steps whose body is a program in a fence."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words by which a format with headers names its steps and asks for them.

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
        return Prompt(messages, transcript(self, state) + opening, opening, ("\n### Step",))

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
            return malformed(action, self.max_chars)
        word, body = _split(_said(action))
        kind, body = self._kind(word), body_said(body)
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
            return UNFINISHED
        if len(said) > self.max_chars:
            return too_long(said, self.max_chars)
        word, body = _split(said)
        if not word:
            return _NO_HEADER
        if (kind := self._kind(word)) is None:
            *others, last = (known for known, _ in self.words.kinds)
            return f"A step is {', '.join(others)} or {last}, not {word[:40]!r}."
        body = body_said(body)
        if kind in _PROGRAMS:
            return "" if fenced_program(body) is not None else f"A {word} step needs a ```python block."
        if not body.strip():
            return "The step is empty."
        if _NEXT_STEP.search(body):
            return "An action is one step; this one holds a second step header."
        return ""

    def boundary(self, action: str) -> int | None:
        """Where the next header begins; in a code step after the line of the closing fence."""
        return self._end(action, 0)

    def split(self, text: str) -> list[str]:
        """Cuts at headers; what follows a program up to the next header stays with it, to be read as one."""
        actions: list[str] = []
        said = _said(text)
        begin = 0 if said.strip() else None
        # Once for all steps: each of a thousand without a fence would look for one in all that follows.
        openings = openings_end(said)
        while begin is not None:
            end = self._end(said, begin, openings)
            header = _HEADER.match(said, begin)
            if header and self._kind(header[1].lower()) in _PROGRAMS:
                # Behind a program a model may go on with usage or remarks: they stay with the step up to the
                # next header.
                following = _NEXT_STEP.search(said, end or len(said))
                end = following.start() if following else None
            actions.append(said[begin:end])
            begin = end
        return actions

    def read_answer(self, answer: str, opening: str, entry_point: str | None = None) -> str:
        """Takes the step with the requested number, else the first; without a header the whole text.

        A program without a header is a code step, for a model may leave the steps out.
        """
        thought = split_thought(answer)
        said, number = thought.answer, _number(opening)
        if headers := list(_HEADERS.finditer(said)):
            asked = next((one for one in headers if _number(one[0]) == number), headers[0])
            return thought.before(self._first_step(said[asked.start() :], entry_point))
        begins = _KIND.match(said)
        if not opening.rstrip().endswith("(") or (begins and self._kind(begins[1].lower())):
            continued = opening + without(said, opening.strip())
            return thought.before(continued[: self.boundary(continued)])
        program = fenced_program(said, entry_point)
        if program is None:
            return answer
        return thought.before(self.render(Step(ActionType.CODE, program), int(number or 1)))

    def _end(self, text: str, begin: int, openings: int | None = None) -> int | None:
        """Returns where the action at a place in a text ends, None while it is incomplete.

        Args:
            text: May hold further actions before and behind it.
            begin: The place.
            openings: `openings_end` of the text, if it is known.
        """
        place = end_of_thought(text, begin)
        if place is None:
            return None
        header = _HEADER.match(text, place)
        if header is None:
            following = _NEXT_STEP.search(text, place + 1)
            return following.start() if following else None
        body = header.end()
        if THOUGHT_IN_BODY.match(text, body) and (body := end_of_thought(text, body)) is None:
            return None
        if self._kind(header[1].lower()) in _PROGRAMS and (end := first_end(text, body, openings)) != 0:
            return end
        # A body may begin within the header's line, and then with the next header.
        following = _STEP.match(text, body) or _NEXT_STEP.search(text, body + 1)
        return following.start() if following else None

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


PSEUDOCODE: StepFormat = PseudocodeFormat()


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


def _number(text: str) -> str:
    """Returns the first number in a text, "" without one."""
    found = _NUMBER.search(text)
    return found[0] if found else ""


def _escape(text: str) -> str:
    escaped = _ESCAPABLE.sub(r"\\\1", text)
    # Bodies are stripped when they are read: the backslash keeps an empty body, trailing whitespace or a
    # trailing backslash from being lost.
    plain = escaped and not escaped[-1].isspace() and escaped[-1] != "\\"
    return escaped if plain else escaped + "\\"


def _unescape(body: str) -> str:
    return _ESCAPED.sub(r"\1", body.rstrip().removesuffix("\\"))
