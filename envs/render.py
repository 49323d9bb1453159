"""What an episode looks like: plain text, a rich panel, a picture."""

from __future__ import annotations

import textwrap

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

COLUMNS, ROWS = 100, 60
"""Characters of the picture; the end of a longer episode is shown."""

CELL = (8, 16)
"""Pixels of one character, width and height."""


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


def rgb_array(text: str) -> NDArray[np.uint8]:
    """Draws the last `ROWS` lines of a text, [960, 800, 3].

    Raises:
        MissingExtraError: When Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtraError("pillow", "plots") from error
    lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, COLUMNS) or [""])]
    image = Image.new("RGB", (COLUMNS * CELL[0], ROWS * CELL[1]), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=12)
    for row, line in enumerate(lines[-ROWS:]):
        draw.text((2, row * CELL[1]), line, fill="black", font=font)
    return np.asarray(image, dtype=np.uint8).copy()


def _status(cursor: Cursor) -> str:
    transition = cursor.transition
    if transition is None:
        return "step 0"
    verdict = transition.verdict
    end = verdict.outcome.value if verdict else "no program" if transition.done else "running"
    told = f": {transition.feedback}" if transition.feedback else ""
    return f"step {cursor.state.depth}, reward {transition.reward:.3g}, {end}{told}"
