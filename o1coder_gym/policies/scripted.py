r"""A policy that proposes the actions of a table: for tests, demonstrations and golden trees.

A script is a JSON file (or the same value in memory)::

    {
      "draw": "random",
      "problems": {
        "starter/add": [
          {"type": "define", "text": "add the numbers", "weight": 3, "then": [
            {"type": "code", "text": "def add(a, b):\n    return a + b"}
          ]},
          {"raw": "no step at all", "weight": 1}
        ],
        "*": {"depths": [
          [{"type": "define", "text": "plan"}],
          [{"type": "code", "text": "pass"}, {"type": "code", "text": "1 / 0"}]
        ]}
      }
    }

* A problem maps to a tree (a list of actions, each with the list of its next ones under ``then``) or
  to ``depths`` (one list of actions per number of steps taken; the last one serves all deeper states).
  ``"*"`` serves problems that are not named.
* An action is ``type`` and ``text``, written out in the step format, or ``raw``, taken verbatim. Its
  ``weight`` is positive, 1 by default.
* ``draw``: ``random`` draws by weight from the stream (request seed, sample number); ``cycle`` takes
  the actions in file order, sample i of a request the i-th one, whatever the seed. At temperature 0
  both take the first action of the largest weight. Other sampling options change nothing.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from o1coder_gym.errors import PolicyError, unreadable
from o1coder_gym.steps.formats import PSEUDOCODE, StepFormat
from o1coder_gym.types import ActionType, PolicyRequest, Proposal, State, Step


@dataclass(frozen=True, slots=True)
class ScriptedAction:
    """One entry of a script.

    Attributes:
        step: The proposed step; `MALFORMED` is taken verbatim.
        weight: Its probability among its siblings is weight ÷ sum of weights; > 0.
        then: The script of the state that it leads to.
    """

    step: Step
    weight: float = 1.0
    then: tuple[ScriptedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class Depths:
    """Actions by the number of steps taken; the last entry serves all deeper states."""

    actions: tuple[tuple[ScriptedAction, ...], ...]

    def __post_init__(self) -> None:
        if not self.actions or not all(self.actions):
            raise ValueError("depths has at least one list, and each list at least one action")


Script = tuple[ScriptedAction, ...] | Depths


class ScriptedPolicy:
    """Proposes what its scripts say; exact: equal requests get equal proposals."""

    parallel = 1

    def __init__(
        self,
        scripts: Mapping[str, Script],
        *,
        draw: Literal["random", "cycle"] = "random",
        step_format: StepFormat = PSEUDOCODE,
    ) -> None:
        """Prepares to propose.

        Args:
            scripts: By task id, or ``"*"`` for all others.
            draw: ``"random"`` by weight, or ``"cycle"`` in order.
            step_format: How steps are written.
        """
        self.scripts = scripts
        self.draw = draw
        self.step_format = step_format

    @classmethod
    def from_rows(cls, rows: Any, step_format: StepFormat = PSEUDOCODE) -> ScriptedPolicy:
        """Reads the value of a script file.

        Raises:
            PolicyError: When it is not one.
        """
        try:
            draw = rows.get("draw", "random")
            if draw not in ("random", "cycle"):
                raise ValueError(f"draw is random or cycle, not {draw!r}")
            scripts = {task: _script(value) for task, value in rows["problems"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"not a script: {type(error).__name__}: {error}") from error
        return cls(scripts, draw=draw, step_format=step_format)

    @classmethod
    def from_file(cls, path: str | Path, step_format: StepFormat = PSEUDOCODE) -> ScriptedPolicy:
        """Reads a script file.

        Raises:
            PolicyError: When it cannot be read; names the file.
        """
        try:
            return cls.from_rows(json.loads(Path(path).read_text(encoding="utf-8")), step_format)
        except OSError as error:
            raise PolicyError(unreadable(path, error)) from error
        except (ValueError, PolicyError) as error:
            raise PolicyError(f"{path}: {error}") from error

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples `request.n` actions for each request.

        Raises:
            PolicyError: When a state is not in the script.
        """
        return [self._propose(request) for request in requests]

    def _propose(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        actions = self._actions(request.state)
        total = sum(action.weight for action in actions)
        chosen = (self._choose(actions, request, sample) for sample in range(request.n))
        return tuple(
            _proposal(
                self.step_format.render(action.step, request.state.depth + 1),
                math.log(action.weight / total),
                request.sampling.max_tokens,
            )
            for action in chosen
        )

    def _choose(
        self, actions: Sequence[ScriptedAction], request: PolicyRequest, sample: int
    ) -> ScriptedAction:
        if request.sampling.temperature == 0:
            return max(actions, key=lambda action: action.weight)
        if self.draw == "cycle":
            return actions[sample % len(actions)]
        # A stream per sample, as `sampling.uniforms`: sample i is the same whatever n is.
        generator = random.Random(f"{request.seed}/{sample}")
        return generator.choices(actions, [action.weight for action in actions])[0]

    def _actions(self, state: State) -> Sequence[ScriptedAction]:
        script = self.scripts.get(state.problem_id, self.scripts.get("*", ()))
        if isinstance(script, Depths):
            return script.actions[min(state.depth, len(script.actions) - 1)]
        actions = script
        for step in state.steps:
            actions = next((action.then for action in actions if action.step == step), ())
        if not actions:
            raise PolicyError(f"no script for {state.problem_id} after {state.depth} steps")
        return actions


def _proposal(text: str, logprob: float, max_tokens: int) -> Proposal:
    """A token is a word; what is longer than `max_tokens` words is cut."""
    words = text.split()
    if len(words) <= max_tokens:
        return Proposal(text, max(1, len(words)), logprob)
    return Proposal(" ".join(words[:max_tokens]), max_tokens, logprob, finish="length")


def _script(value: Any) -> Script:
    if isinstance(value, list):
        return _actions(value)
    return Depths(tuple(_actions(rows) for rows in value["depths"]))


def _actions(rows: Any) -> tuple[ScriptedAction, ...]:
    return tuple(_action(row) for row in rows)


def _action(row: Any) -> ScriptedAction:
    weight = float(row.get("weight", 1.0))
    if not 0 < weight < math.inf:
        raise ValueError(f"weight is positive, not {weight}")
    kind, text = ("malformed", row["raw"]) if "raw" in row else (row["type"], row["text"])
    if not isinstance(text, str):
        raise TypeError(f"text is a string, not {text!r}")
    return ScriptedAction(Step(ActionType[kind.upper()], text), weight, _actions(row.get("then", ())))
