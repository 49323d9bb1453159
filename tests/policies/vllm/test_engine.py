"""vLLM for real: SmolLM2 in process and behind its OpenAI server, alone and through the command line."""

import importlib
import importlib.util
import json
import os
from types import SimpleNamespace

import pytest

from o1coder_gym.agents import Driver, Task, greedy
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import PolicyError, PromptTooLongError
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies import Generate, LanguageModelPolicy, load_policy
from o1coder_gym.policies.vllm.engine import _sampling
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, Prompt
from o1coder_gym.types import GREEDY, ActionType, PolicyRequest, Problem, Sampling, State
from tests.command_line import call
from tests.policies.vllm.loopback import serving_vllm, stop

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make vllm"),
    pytest.mark.filterwarnings("ignore"),  # vLLM's own imports warn
    pytest.mark.timeout(600),
]

MODEL = "smollm2-135m"
IN_PROCESS = f"vllm:{MODEL}?dtype=float32&context=2048&max_rows=16&kv_gib=1"
CORES = os.sched_getaffinity(0)
ADD = Problem("t/add", "Write a function `add(a, b)` that adds two numbers.", "add")
ROOT = State(ADD.task_id)


def language_model(spec):
    policy = load_policy(spec)
    assert isinstance(policy, LanguageModelPolicy)
    return policy


@pytest.fixture(scope="module")
def policy():
    return language_model(IN_PROCESS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on loopback: its process and its policy's spec."""
    flags = "--max-model-len", "2048", "--logits-processors", "o1coder_gym.policies.vllm.draws:OwnDraws"
    log = tmp_path_factory.mktemp("server") / "log"
    with serving_vllm(model_path(MODEL), MODEL, log, *flags) as (process, url):
        yield process, f"openai:{url}?tries=2&backoff_s=0.1&timeout_s=60#{MODEL}"


def ask(policy, state=ROOT, n=1, sampling=Sampling(max_tokens=32), seed=0, history=()):
    return policy.propose([PolicyRequest(ADD, state, n, sampling, seed, history=history)])[0]


def check_chain(policy):
    """Ids are kept end to end: a child's prompt extends its parent's, which the prefix cache then knows."""
    first = ask(policy, n=3)
    assert len(first) == 3
    for proposal in first:
        assert proposal.text.startswith("### Step 1 (define)\n")
        assert 0 < len(proposal.token_ids) <= proposal.tokens <= 32
        assert proposal.logprob is not None
        assert proposal.logprob < 0
    step = PSEUDOCODE.parse(first[0].text)
    assert step.type is ActionType.DEFINE
    child = ROOT.then(step)
    parent_ids, child_ids = policy.prompt_ids(ADD, ROOT), policy.prompt_ids(ADD, child, first[:1])
    assert child_ids[: len(parent_ids)] == parent_ids
    assert child_ids[len(parent_ids) :][: len(first[0].token_ids)] == first[0].token_ids
    before = policy.counters
    assert ask(policy, child, history=first[:1])[0].text.startswith("### Step 2 (")
    done = policy.counters - before
    assert (done.requests, done.batches) == (1, 1)
    assert done.prompt_tokens + done.cached_tokens == len(child_ids)
    return done


def check_command_line(spec, folder):
    solve = [
        "solve",
        "--policy",
        spec,
        "--format",
        "vanilla",
        "--agent",
        "greedy",
        "--tokens",
        "512",
        "--json",
    ]
    solved = call(*solve)
    assert solved.exit_code == 0, solved.stderr
    answer = json.loads(solved.stdout)
    assert answer["code"]
    assert 0 < answer["usage"]["tokens"] <= 512
    bench = ["bench", "--policy", spec, "--limit", "2", "--tokens", "200", "--out", str(folder), "--json"]
    agents = ["greedy", "mcts:width=2,simulations=4,max_tokens=48"]
    done = call(*bench, *(part for agent in agents for part in ("--agent", agent)))
    assert done.exit_code == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["agent"] in agents]  # beside them the controls
    assert len(rows) == 4
    assert all(0 < row["usage"]["tokens"] <= 200 for row in rows)
    assert (folder / "report.md").exists()


def test_in_process_a_chain_extends_its_ids(policy):
    done = check_chain(policy)
    # All but what is beyond the last full block of 32 was computed by the parent; the joint is new.
    assert done.prompt_tokens <= 2 * 32


def test_greedy_decoding_and_its_logprob_are_those_of_transformers(policy):
    (expected,) = ask(language_model(f"hf:{MODEL}?dtype=float32"), sampling=GREEDY)
    (found,) = ask(policy, sampling=GREEDY)
    assert found.token_ids == expected.token_ids
    assert found.text == expected.text
    assert found.logprob == pytest.approx(expected.logprob, abs=1e-2)


def test_draws_are_those_of_transformers_whatever_else_is_in_the_batch(policy):
    asked = [
        PolicyRequest(ADD, ROOT, n, Sampling(temperature, top_p, top_k, 24), seed)
        for seed, (n, temperature, top_p, top_k) in enumerate(
            [(3, 0.8, 0.95, 50), (1, 0.0, 1.0, 0), (2, 1.2, 0.9, 5), (2, 1.0, 1.0, 0)]
        )
    ]
    expected = language_model(f"hf:{MODEL}?dtype=float32").propose(asked)
    found = policy.propose(asked)
    assert [[one.token_ids for one in group] for group in found] == [
        [one.token_ids for one in group] for group in expected
    ]
    assert [one.token_ids for one in policy.propose(asked[:1])[0]] == [one.token_ids for one in found[0]]


def test_prompts_that_make_no_single_batch_are_computed_in_parts(policy):
    long = [Problem(f"t/{i}", f"{i} " * 600, "f") for i in range(8)]
    answers = policy.propose(
        [PolicyRequest(one, State(one.task_id), 1, Sampling(max_tokens=4)) for one in long]
    )
    assert [len(answer) for answer in answers] == [1] * 8


def test_no_thread_but_its_own_is_bound_to_a_core(policy):
    assert os.sched_getaffinity(0) == CORES


def test_forgetting_drops_all_prefixes(policy):
    ask(policy)
    policy.engine.forget()
    before = policy.counters
    ask(policy)
    assert (policy.counters - before).cached_tokens == 0


def test_a_prompt_beyond_the_context_is_refused_before_anything_runs(policy):
    before = policy.counters
    long = PolicyRequest(Problem("t/long", "number " * 3000), State("t/long"))
    with pytest.raises(PromptTooLongError, match=r"the prompt has \d+ tokens; the context is 2048"):
        policy.propose([PolicyRequest(ADD, ROOT), long])
    assert policy.counters == before
    assert ask(policy)


def test_in_process_through_the_command_line(policy, tmp_path):
    check_command_line(IN_PROCESS, tmp_path / "run")


def test_after_a_failure_with_work_inside_it_answers_no_more(policy, monkeypatch):
    engine, _ = policy.engine._ready()

    def fail():
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.llm_engine, "step", fail)
    with pytest.raises(PolicyError, match="vLLM failed: out of memory"):
        ask(policy)
    monkeypatch.undo()
    with pytest.raises(PolicyError, match="failed in an earlier request"):
        ask(policy)


def test_a_control_token_stops_too():
    from transformers import AutoTokenizer

    detokenizer = importlib.import_module("vllm.v1.engine.detokenizer")
    tokenizer, stop = AutoTokenizer.from_pretrained(model_path(MODEL)), "<|im_start|>"
    asked = Generate(Prompt((), "", "", (stop,)), (1,), 1, Sampling(max_tokens=9), 0, lambda text: None)
    request = SimpleNamespace(
        sampling_params=_sampling(asked, 0, []), prompt_token_ids=[1], prompt_embeds=None, request_id="0"
    )
    reader = detokenizer.IncrementalDetokenizer.from_new_request(tokenizer, request)
    found = [reader.update([token], False) for token in tokenizer.encode(f"so{stop}on")]
    assert found.index(stop) == 1


def test_the_server_speaks_the_same_ids(policy, server):
    _, spec = server
    client = language_model(spec)
    assert client.prompt_ids(ADD, ROOT) == policy.prompt_ids(ADD, ROOT)
    check_chain(client)


def test_the_server_can_draw_as_transformers_does(server):
    _, spec = server
    client = language_model(spec.replace("?", "?draws=own&"))
    expected = ask(language_model(f"hf:{MODEL}?dtype=float32"), n=3)
    for found, wanted in zip(ask(client, n=3), expected, strict=True):
        assert found.text.rstrip() == wanted.text.rstrip()
        assert found.token_ids == wanted.token_ids[: len(found.token_ids)]  # without blanks at the end


def test_the_server_through_the_command_line(server, tmp_path):
    _, spec = server
    check_command_line(spec, tmp_path / "run")


def test_a_server_that_dies_in_mid_search_ends_its_tasks_and_loses_nothing(server, tmp_path):
    process, spec = server
    problems = load_problems("starter")[:3]
    model = ReasoningModel(problems, default_judge())
    tasks = [Task(problem.task_id, greedy, Budget(tokens=2000)) for problem in problems]
    answered = []

    def watch(task, query, answer, usage):
        answered.append(usage.tokens)
        stop(process)

    with RunFolder.open(tmp_path, {}) as folder:
        results = Driver(model, load_policy(spec), journal=folder, observer=watch, concurrency=1).run(tasks)
    assert [type(result.error) for result in results] == [PolicyError] * 3
    assert all("127.0.0.1" in str(result.error) for result in results)
    assert max(answered) > 0
    paid = [row for row in read_rows(tmp_path / "answers.jsonl") if "seed" in row]
    assert sum(tokens for row in paid for _, tokens, *_ in row["a"]) == sum(
        result.usage.tokens for result in results
    )
