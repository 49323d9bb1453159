"""Reward functions in the signatures of trainers: verl, slime and miles, AReaL, rLLM, Atropos.

Each reads the program of an answer, judges it in the sandbox and pays 1 iff all tests pass. What becomes of
a masked verdict (the judge failed, no tests, tests that cannot be judged) is what the trainer has for it:

| trainer | masked |
|---|---|
| verl | ``score`` 0.0 and ``masked`` 1.0 beside it: verl has no mask for a reward |
| slime, miles | 0.0, and ``sample.remove_sample``: no token of the sample enters the loss |
| AReaL | raises `InfrastructureError`: tried again, then the episode is rejected |
| rLLM | raises `InfrastructureError`: an episode in error, dropped by ``compact_filtering.mask_error`` |
| Atropos | NaN: leave the completion out of its group |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row, read_ground_truth
from o1coder_gym.adapters.scoring import GroundTruth, score_all, score_all_async
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.problems.formats.reading.fields import wrong
from o1coder_gym.steps.answers import said_in
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import Problem, State

_Item: TypeAlias = tuple[str | None, GroundTruth]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Scores an answer for verl's reward managers (``custom_reward_function``).

    Args:
        data_source: Not used.
        solution_str: The answer.
        ground_truth: The tests, see `read_ground_truth`.
        extra_info: Not used.
        **kwargs: What verl adds; not used.

    Returns:
        ``score`` and ``acc`` (0.0 or 1.0), ``pass_ratio`` in [0, 1], ``masked`` (0.0 or 1.0), ``outcome``.

    Raises:
        ProblemFileError: When the tests cannot be read; names the field.
    """
    (found,) = score_all(_read([solution_str], [ground_truth], "solution_str"))
    reward, ratio = (0.0, 0.0) if found.masked else (found.reward, found.pass_ratio)
    masked = float(found.masked)
    return {"score": reward, "acc": reward, "pass_ratio": ratio, "masked": masked, "outcome": found.outcome}


async def slime_reward(args: Any, sample: Any, **kwargs: Any) -> Any:
    """Scores one sample, or a list of them, for slime and miles (``--custom-rm-path``).

    A sample's tests are its ``label``, or ``metadata["ground_truth"]`` where it has none.
    """
    samples = sample if isinstance(sample, list) else [sample]
    truths = [one.label or _column(one.metadata or {}) for one in samples]
    scores = await score_all_async(_read([one.response for one in samples], truths, "response"))
    for one, found in zip(samples, scores, strict=True):
        # The list of rewards has no place for a mask; a removed sample keeps its tokens out of the loss.
        if found.masked:
            one.remove_sample = True
    rewards = [0.0 if found.masked else found.reward for found in scores]
    return rewards if isinstance(sample, list) else rewards[0]


def areal_reward(
    prompt: str, completions: str, prompt_ids: Sequence[int], completion_ids: Sequence[int], **columns: Any
) -> float:
    """Scores an answer for AReaL's workflows; the tests are the column ``ground_truth``.

    Raises:
        InfrastructureError: When the score is masked.
    """
    return score_all(_read([completions], [_column(columns)], "completions"))[0].demand()


def rllm_reward(task_info: Mapping[str, Any], action: Any) -> Any:
    """Scores an answer for rLLM; the tests are the task's ``ground_truth``. Returns its `RewardOutput`.

    Raises:
        InfrastructureError: When the score is masked.
    """
    from rllm.rewards.reward_types import RewardOutput  # pyright: ignore[reportMissingImports]

    found = score_all(_read([str(getattr(action, "action", action))], [_column(task_info)], "action"))[0]
    return RewardOutput(
        reward=found.demand(), metadata={"outcome": found.outcome}, is_correct=found.reward == 1.0
    )


def atropos_reward(completions: Sequence[Any], ground_truth: Any = None, **columns: Any) -> list[float]:
    """Scores answers for Atropos: texts, or lists of messages; `ground_truth` is one for all or a list."""
    if not isinstance(completions, list | tuple):  # a text would be scored letter by letter
        raise wrong("completions", f"expected a list of answers, got {type(completions).__name__}")
    texts = [_said(completion, f"completions[{number}]") for number, completion in enumerate(completions)]
    many = isinstance(ground_truth, list) and len(ground_truth) == len(texts)
    truths = ground_truth if many else [ground_truth] * len(texts)
    return [found.reward for found in score_all(_read(texts, truths, "completions"))]


def verl_rows(problems: Iterable[Problem], data_source: str = "o1coder") -> Iterator[dict[str, Any]]:
    """Yields a row of verl's data set per problem; its tests are the public ones."""
    for index, problem in enumerate(problems):
        messages = VANILLA.prompt(problem, State(problem.task_id)).messages
        truth = json.dumps(ground_truth_row(ground_truth_of(problem)))
        yield {
            "data_source": data_source,
            "prompt": [{"role": role, "content": content} for role, content in messages],
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {"index": index, "task_id": problem.task_id},
        }


def _read(answers: Sequence[str], truths: Sequence[object], name: str) -> list[_Item]:
    """Returns programs with what they are judged by; `name` is the trainer's for an answer."""
    for answer in answers:
        if not isinstance(answer, str):
            raise wrong(name, f"expected text, got {type(answer).__name__}")
    pairs = zip(answers, map(read_ground_truth, truths), strict=True)
    return [(program_in(answer, truth.entry_point), truth) for answer, truth in pairs]


def _column(columns: Any) -> object:
    known = columns if isinstance(columns, Mapping) else {}
    if "ground_truth" not in known:
        raise wrong("ground_truth", f"missing; there are {', '.join(map(str, known)) or 'none'}")
    return known["ground_truth"]


def _said(completion: Any, name: str) -> str:
    """Returns a completion as text; of messages the last in which the assistant says anything."""
    if isinstance(completion, str):
        return completion
    turns = [completion] if isinstance(completion, Mapping) else completion
    if not isinstance(turns, list | tuple) or not all(isinstance(turn, Mapping) for turn in turns):
        raise wrong(name, f"expected text or messages, got {turns!r:.60}")
    said = [said_in(turn) for turn in turns if turn.get("role") == "assistant"]
    return next(filter(None, reversed(said)), "")
