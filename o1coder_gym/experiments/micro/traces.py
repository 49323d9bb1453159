"""Step traces of micro-problems, correct ones and ones with the slips of a half-trained model."""

from __future__ import annotations

import random
from collections.abc import Callable

from o1coder_gym.experiments.micro.operations import Pipeline, Stage, program
from o1coder_gym.types import ActionType, Step

DIRECT = 0.2
"""Share of traces that go from the definition straight to code."""


def anything(pipeline: Pipeline) -> bool:
    """Allows every pipeline."""
    return True


def trace(
    pipeline: Pipeline,
    generator: random.Random | None = None,
    *,
    allowed: Callable[[Pipeline], bool] = anything,
) -> tuple[Step, ...]:
    """Returns a chain of steps that ends with code.

    Args:
        pipeline: The pipeline that the question asks for.
        generator: Draws the slips; a slip is made in the refine step (or in the code, where that follows the
            definition directly), and the code follows it. None gives the right chain with all three steps.
        allowed: Whether a pipeline's code may be written; slips are drawn again until it may. The right code
            must be allowed, or this may not end.
    """
    meant = pipeline if generator is None else _meant(pipeline, generator, allowed)
    direct = generator is not None and generator.random() < DIRECT
    define = Step(ActionType.DEFINE, "\n".join(stage.idea for stage in pipeline))
    code = Step(ActionType.CODE, program(meant))
    if direct:
        return define, code
    lines = (f"{asked.idea}: {done.expression}" for asked, done in zip(pipeline, meant, strict=True))
    return define, Step(ActionType.REFINE, "\n".join(lines)), code


def _meant(pipeline: Pipeline, generator: random.Random, allowed: Callable[[Pipeline], bool]) -> Pipeline:
    while True:
        meant = tuple(_with_slip(stage, generator) for stage in pipeline)
        if allowed(meant):
            return meant


def _with_slip(stage: Stage, generator: random.Random) -> Stage:
    return stage.mistaken() if generator.random() < stage.operation.slip else stage
