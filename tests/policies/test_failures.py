"""What goes wrong in an engine ends the search that asked, with a typed error; other trees go on."""

import threading
from dataclasses import replace
from functools import partial

import pytest

from o1coder_gym.agents import Driver, Task, best_of_n, greedy
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import PolicyError
from o1coder_gym.policies import HFEngine, LanguageModelPolicy, OpenAISettings
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Outcome, Problem, Verdict

PROBLEMS = [Problem(f"t/{name}", f"Solve {name}.") for name in ("one", "two", "three", "victim")]
IMPATIENT = OpenAISettings(tries=2, backoff_s=0.001, timeout_s=20.0)


class Approving:
    def evaluate(self, submissions):
        return [Verdict(Outcome.PASS) for _ in submissions]


class Program:
    """Answers the first step with a thought and the others with a program, so that searches end."""

    def __init__(self, failure=None):
        self.failure, self.begun = failure, 0

    def __call__(self, prompt):
        if "Solve victim" in prompt and self.failure is not None:
            return self.failure(prompt) if callable(self.failure) else self.failure
        self.begun += 1
        said = "plan" if "Step 1 (define)" in prompt.splitlines()[-1] else "code)\n```python\nx = 1\n```\n"
        choice = {"text": said, "token_ids": list(map(ord, said)), "finish_reason": "stop"}
        logprobs = {"tokens": list(said), "token_logprobs": [-0.5] * len(said)}
        usage = {"prompt_tokens": 9, "completion_tokens": len(said)}
        return 200, {"choices": [choice | {"logprobs": logprobs}], "usage": usage}


def search(policy, problems=PROBLEMS, agent=greedy, journal=None, **options):
    model = ReasoningModel(problems, Approving())
    tasks = [Task(problem.task_id, agent, Budget(tokens=2000)) for problem in problems]
    return Driver(model, policy, journal=journal, **options).run(tasks)


def check_only_the_victim_fails(results, message):
    *others, victim = results
    assert isinstance(victim.error, PolicyError)
    assert message in str(victim.error)
    assert [result.error for result in others] == [None] * len(others)
    assert [result.result.code for result in others] == ["x = 1"] * len(others)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ((500, "oops"), "HTTP 500: oops (tried 2 times)"),
        ((200, "<html>"), "the answer is not JSON"),
        ((200, {"choices": "none"}), "the answer lacks"),
        ((200, {"choices": [{"text": None}]}), "the answer lacks"),
        ((0, ""), "RemoteProtocolError"),
        ((400, {"error": "the prompt holds a forbidden token"}), "forbidden token"),
    ],
    ids=["500", "no JSON", "no choices", "no text", "connection dropped", "refused"],
)
def test_a_server_that_fails_one_tree_serves_the_others(serve, failure, message):
    _, engine = serve(settings=IMPATIENT, misbehave=Program(failure))
    check_only_the_victim_fails(search(LanguageModelPolicy(engine)), message)


def test_a_server_that_hangs_on_one_tree_serves_the_others(serve):
    release = threading.Event()

    def hang(prompt):
        release.wait(20)

    _, engine = serve(settings=replace(IMPATIENT, timeout_s=1.0), misbehave=Program(hang))
    results = search(LanguageModelPolicy(engine))
    release.set()
    check_only_the_victim_fails(results, "ReadTimeout")


def test_a_server_that_dies_in_mid_search_loses_nothing(serve, tmp_path):
    expected = search(LanguageModelPolicy(serve(misbehave=Program())[1]), agent=partial(best_of_n, n=8))
    program = Program()
    dying = serve(
        settings=IMPATIENT, misbehave=lambda prompt: (0, "") if program.begun > 20 else program(prompt)
    )
    with RunFolder.open(tmp_path, {}) as folder:
        broken = search(LanguageModelPolicy(dying[1]), agent=partial(best_of_n, n=8), journal=folder)
    errors = [result.error for result in broken if result.error]
    assert errors
    assert all(isinstance(error, PolicyError) for error in errors)
    server, engine = serve(misbehave=Program())
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        mended = search(LanguageModelPolicy(engine), agent=partial(best_of_n, n=8), journal=folder)
    assert [result.result for result in mended] == [result.result for result in expected]
    assert [result.usage.tokens for result in mended] == [result.usage.tokens for result in expected]
    assert sum(result.usage.calls for result in mended) == program.begun + len(server.seen)


@pytest.mark.parametrize("tokens", [True, False], ids=["ids", "chat"])
@pytest.mark.parametrize("reply", ["", " \n\n"])
def test_an_empty_generation_is_a_malformed_step(serve, reply, tokens):
    _, engine = serve([reply], tokens=tokens)
    (result,) = search(LanguageModelPolicy(engine), PROBLEMS[:1])
    assert result.error is None
    assert result.result is not None
    assert result.result.code is None
    assert result.usage.executions == 0


def test_a_model_without_chat_template_is_shown_plain_text(serve):
    server, engine = serve(template=False)
    policy = LanguageModelPolicy(engine)
    assert search(policy, PROBLEMS[:1])[0].error is None
    shown = "".join(map(chr, server.seen[0][1]["prompt"]))
    assert "\n\nSolve one." in shown
    assert shown.endswith("### Step 1 (define)\n")


@pytest.mark.filterwarnings("ignore:.*such states are dead ends")
def test_a_server_that_has_no_room_for_a_prompt_makes_it_a_dead_end(serve):
    long = (400, {"error": "This model's maximum context length is 2048 tokens"})
    _, engine = serve(settings=IMPATIENT, misbehave=Program(long))
    *others, victim = search(LanguageModelPolicy(engine))
    assert [result.error for result in (*others, victim)] == [None] * (len(others) + 1)
    assert victim.result is not None
    assert (victim.result.code, victim.usage.tokens) == (None, 0)


@pytest.mark.filterwarnings("ignore:.*such states are dead ends")
def test_a_prompt_beyond_the_context_is_a_dead_end_and_no_error(tiny):
    policy = LanguageModelPolicy(HFEngine.from_model(*tiny))
    long = Problem("t/victim", "x" * 5000)
    *others, victim = search(policy, [*PROBLEMS[:2], long], partial(greedy, max_tokens=4))
    assert [result.error for result in (*others, victim)] == [None] * 3
    assert victim.result is not None
    assert (victim.result.code, victim.usage.tokens) == (None, 0)
    assert all(result.usage.calls > 0 for result in others)


def test_torch_failing_on_one_tree_serves_the_others(tiny):
    model, tokenizer = tiny
    (mark,) = tokenizer.encode("~")

    def fail(module, args, kwargs):
        if (kwargs["input_ids"] == mark).any():
            raise RuntimeError("out of memory")

    policy = LanguageModelPolicy(HFEngine.from_model(model, tokenizer))
    handle = model.base_model.register_forward_pre_hook(fail, with_kwargs=True)
    problems = [*PROBLEMS[:2], Problem("t/victim", "Solve ~.")]
    *others, victim = search(policy, problems, partial(greedy, max_tokens=4))
    handle.remove()
    assert isinstance(victim.error, PolicyError)
    assert str(victim.error) == "generation failed: out of memory"
    assert [result.error for result in others] == [None, None]
    assert all(result.usage.calls > 0 for result in others)
