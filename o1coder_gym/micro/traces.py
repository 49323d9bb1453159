"""Step traces of micro-problems, right ones and ones with slips, as a half-trained model writes them."""

from __future__ import annotations

import random

from o1coder_gym.micro.operations import Pipeline, Stage, program
from o1coder_gym.types import ActionType, Step

DIRECT = 0.2
"""Share of traces that go from the definition straight to code."""


def trace(pipeline: Pipeline, generator: random.Random | None = None) -> tuple[Step, ...]:
    """Returns a chain of steps that ends with code.

    Args:
        pipeline: What the question asks for.
        generator: Draws the slips; a slip is made in the refine step (or in the code, where that follows the
            definition directly), and the code follows it. None gives the right chain with all three steps.
    """
    meant = pipeline if generator is None else tuple(_meant(stage, generator) for stage in pipeline)
    direct = generator is not None and generator.random() < DIRECT
    define = Step(ActionType.DEFINE, "\n".join(stage.idea for stage in pipeline))
    code = Step(ActionType.CODE, program(meant))
    if direct:
        return define, code
    lines = (f"{asked.idea}: {done.expression}" for asked, done in zip(pipeline, meant, strict=True))
    return define, Step(ActionType.REFINE, "\n".join(lines)), code


def _meant(stage: Stage, generator: random.Random) -> Stage:
    return stage.mistaken() if generator.random() < stage.operation.slip else stage
