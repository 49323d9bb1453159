"""Programs of micro-problems, run: what they give on every probe."""

from collections.abc import Callable

from o1coder_gym.experiments.micro.behaviour import PROBES


def outputs(source: str) -> tuple[str, ...]:
    """What a program gives on every probe, by running its text."""
    names: dict[str, Callable[[list[int]], object]] = {}
    exec(source, names)
    return tuple(repr(names["solve"](list(probe))) for probe in PROBES)


def code_of(answer: str) -> str:
    """The program in the answer of a chat."""
    return answer.split("```python\n")[1].split("```")[0]
