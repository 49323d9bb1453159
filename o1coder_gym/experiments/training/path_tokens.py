"""Paths as the tokens that a policy samples: SFT learns these, not the text that the format inserts.

A policy is given the header of a step, or its beginning, and writes until the text shows the end of the
step: ``### Step`` of the next header, or the closing fence. Those tokens are learned too, as in RL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from o1coder_gym.models.batches.row_order import NOT_LEARNED
from o1coder_gym.policies.token_text import TokenText, step_tokens
from o1coder_gym.process_data.dataset import ProcessData
from o1coder_gym.process_data.rows import PathRow
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import State


def path_encoder(data: ProcessData) -> Callable[[Any, PathRow], Mapping[str, list[int]] | None]:
    """Returns a function that turns a path of D⁺ into a row for SFTTrainer (Eq. 2), given a tokenizer.

    The row holds ``input_ids`` and ``labels``: the prompt as in search, the path's sampled tokens and the end
    of the text, if the tokenizer has one, with labels, the headers that the format puts in without. It is
    None for a path with a step that cannot follow its opening.
    """
    step_format = load_format(data.format)
    problems = {problem.task_id: problem for problem in data.problems}

    def encode(tokenizer: Any, path: PathRow) -> Mapping[str, list[int]] | None:
        text, problem = TokenText(tokenizer), problems[path.state.problem_id]
        state = State(problem.task_id)
        ids = list(text.encode(step_format.prompt(problem, state)))
        labels = [NOT_LEARNED] * len(ids)
        for step in path.state.steps:
            found = step_tokens(text, step_format, problem, state, step)
            if found is None:
                return None
            sampled, put_in = found
            ids += [*sampled, *put_in]
            labels += [*sampled, *(NOT_LEARNED for _ in put_in)]
            state = state.then(step)
        # The end of text is learned as well: a policy that never ends would be cut at its token limit.
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        return {"input_ids": [*ids, *end], "labels": [*labels, *end]}

    return encode
