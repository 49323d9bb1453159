"""One real model, small and in float32, through every part of the transformers engine."""

import tempfile
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from o1coder_gym.errors import WeightsError  # noqa: E402
from o1coder_gym.models.lookup import model_path  # noqa: E402
from o1coder_gym.policies import LanguageModelPolicy, load_policy  # noqa: E402
from o1coder_gym.steps.formats import PSEUDOCODE  # noqa: E402
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Sampling, State  # noqa: E402

pytestmark = [pytest.mark.model, pytest.mark.slow]

ADD = Problem("t/add", "Write a function `add(a, b)` that adds two numbers.", "add")
DOUBLE = Problem("t/double", "Write a function `double(a)` that doubles a number.", "double")
SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def weights():
    """The model's folder; one for these tests alone where the user's cache cannot be written."""
    try:
        yield model_path("smollm2-135m")
        return
    except WeightsError as error:
        if not isinstance(error.__cause__, OSError):
            pytest.skip(str(error))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("O1CODER_CACHE", folder)
        try:
            found = model_path("smollm2-135m")
        except WeightsError as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture(scope="module")
def policy(weights):
    torch.set_num_threads(1)
    found = load_policy(f"hf:{weights}?dtype=float32")
    assert isinstance(found, LanguageModelPolicy)
    return found


def ask(problem, state, n=1, seed=0, sampling=SHORT):
    return PolicyRequest(problem, state, n, sampling, seed)


def test_draws_do_not_depend_on_the_batch(policy):
    root, few = State(ADD.task_id), Sampling(max_tokens=8)
    alone = policy.propose([ask(ADD, root, 2, 3, few)])[0]
    crowd = [ask(DOUBLE, State(DOUBLE.task_id), 1, 1, few), ask(ADD, root, 3, 3, few)]
    together = policy.propose(crowd)[1]
    assert [proposal.token_ids for proposal in together[:2]] == [proposal.token_ids for proposal in alone]
    assert len({proposal.text for proposal in together}) > 1


def test_a_chain_extends_its_ids_and_computes_only_what_is_new(policy):
    state = State(ADD.task_id)
    first = policy.propose([ask(ADD, state)])[0][0]
    assert first.text.startswith("### Step 1 (define)\n")
    assert 0 < len(first.token_ids) <= first.tokens <= 24
    assert first.logprob is not None
    assert first.logprob < 0
    step = PSEUDOCODE.parse(first.text)
    assert step.type is ActionType.DEFINE
    parent, child = state, state.then(step)
    parent_ids, child_ids = policy.prompt_ids(ADD, parent), policy.prompt_ids(ADD, child, (first,))
    generated = len(parent_ids) + len(first.token_ids)
    assert child_ids[: len(parent_ids)] == parent_ids
    assert child_ids[len(parent_ids) : generated] == first.token_ids
    before = policy.counters
    second = policy.propose([replace(ask(ADD, child), history=(first,))])[0][0]
    assert second.text.startswith("### Step 2 (")
    # The joint, and the one token that was sampled but never fed.
    assert (policy.counters - before).prompt_tokens <= len(child_ids) - generated + 1


def test_the_chat_template_is_the_models_own(policy):
    ids = policy.prompt_ids(ADD, State(ADD.task_id))
    text = policy.engine._ready()[0].text.decode(ids)
    assert text.startswith("<|im_start|>system\nYou solve Python programming problems")
    assert text.endswith("<|im_start|>assistant\n### Step 1 (define)\n")
