"""Pictures of an episode: plain text, a rich panel, an RGB array."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from o1coder_gym.envs.interactions.interaction import Cursor
from o1coder_gym.envs.interactions.text import transcript
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import Problem

SIZE = (960, 720)
"""Pixels of a picture, width and height."""

_FONT_SIZES = (20, 18, 16, 14, 12, 10)
_MARGIN = 14
_BAR = 48
_GROUND, _PANE, _INK, _BEFORE_THE_END = "#1c1f26", "#262a33", "#e8e6e1", "#3a56c5"


def ansi(problem: Problem, step_format: StepFormat, cursor: Cursor) -> str:
    """Returns the episode as text: question, steps, offers if any, and how it stands."""
    parts = [f"== {problem.task_id}", question(problem), transcript(step_format, cursor.state)]
    parts += [f"[{index}] {offer.proposal.text.strip()}" for index, offer in enumerate(cursor.offers)]
    parts.append(f"-- {_status(cursor)}")
    return "\n\n".join(part for part in parts if part)


def show(problem: Problem, step_format: StepFormat, cursor: Cursor) -> None:
    """Prints the episode to standard output with rich."""
    body = [Text(question(problem)), Markdown(transcript(step_format, cursor.state))]
    body += [
        Panel(Text(offer.proposal.text.strip()), title=str(index), title_align="left")
        for index, offer in enumerate(cursor.offers)
    ]
    passed = cursor.transition is not None and cursor.transition.reward > 0
    panel = Panel(
        Group(*body),
        title=Text(problem.task_id),
        subtitle=Text(_status(cursor)),
        border_style="green" if passed else "default",
    )
    Console().print(panel)


def rgb_array(problem: Problem, step_format: StepFormat, cursor: Cursor) -> NDArray[np.uint8]:
    """Draws the episode, [720, 960, 3]: the question, beside it the steps and offers, below how it stands.

    The text is as large as fits; of an episode too long for the smallest size the end is shown.

    Raises:
        MissingExtraError: When Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtraError("pillow", "plots", error) from error
    width, height = SIZE
    middle, bottom = 2 * width // 5, height - _BAR
    offers = [f"[{index}] {offer.proposal.text.strip()}" for index, offer in enumerate(cursor.offers)]
    steps = "\n\n".join(filter(None, [transcript(step_format, cursor.state), *offers]))
    font, (asked, said) = _fitted((f"{problem.task_id}\n\n{question(problem)}", steps), bottom)
    picture = Image.new("RGB", SIZE, _GROUND)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((middle, 0, width, bottom), _PANE)
    draw.rectangle((0, bottom, width, height), _bar_colour(cursor))
    draw.multiline_text((_MARGIN, _MARGIN), asked, _INK, font)
    draw.multiline_text((middle + _MARGIN, _MARGIN), said, _INK, font)
    draw.text(
        (_MARGIN, bottom + _MARGIN), _status(cursor).partition("\n")[0], _INK, font.font_variant(size=16)
    )
    return np.asarray(picture, dtype=np.uint8).copy()


def _fitted(texts: tuple[str, str], height: int) -> tuple[Any, tuple[str, str]]:
    """Returns the largest font in which both texts fit, and the texts, broken into lines of it."""
    from PIL import ImageFont

    def laid_out(size: int) -> tuple[Any, list[list[str]], int]:
        """Returns a font, the lines of both texts in it, and how many lines there is room for."""
        font = ImageFont.load_default(size=size)
        letters = [int(width / font.getlength("n")) for width in widths]
        lines = [_wrapped(text, count) for text, count in zip(texts, letters, strict=True)]
        return font, lines, (height - 2 * _MARGIN) // (size + 4)

    widths = (2 * SIZE[0] // 5 - 2 * _MARGIN, 3 * SIZE[0] // 5 - 2 * _MARGIN)
    *larger, smallest = _FONT_SIZES
    fitting = (found for found in map(laid_out, larger) if max(map(len, found[1])) <= found[2])
    font, lines, room = next(fitting, None) or laid_out(smallest)
    asked, said = ("\n".join(found[-room:]) for found in lines)
    return font, (asked, said)


def _wrapped(text: str, letters: int) -> list[str]:
    return [part for line in text.splitlines() for part in (textwrap.wrap(line, letters) or [""])]


def _bar_colour(cursor: Cursor) -> str:
    from o1coder_gym.reporting.colours import (  # here, for it knows search trees, which no episode needs
        BAD,
        GOOD,
    )

    if not cursor.done or cursor.transition is None:
        return _BEFORE_THE_END
    return GOOD if cursor.transition.reward > 0 else BAD


def _status(cursor: Cursor) -> str:
    transition = cursor.transition
    if transition is None:
        return "step 0"
    verdict = transition.verdict
    end = verdict.outcome.value if verdict else "no program" if transition.done else "running"
    told = f": {transition.feedback}" if transition.feedback else ""
    return f"step {cursor.state.depth}, reward {transition.reward:.3g}, {end}{told}"
