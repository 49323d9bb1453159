"""The client against a real HTTP server on loopback that speaks as vLLM and as plain OpenAI servers do."""

import dataclasses

import pytest

from o1coder_gym.errors import MissingExtraError, PolicyError, PromptTooLongError, UsageError
from o1coder_gym.policies import (
    Generate,
    LanguageModelPolicy,
    OpenAIEngine,
    OpenAISettings,
    load_policy,
)
from o1coder_gym.policies.loading import prepare
from o1coder_gym.policies.server.replies import continued, read_choice
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import PolicyRequest, Problem, Sampling, State

PROBLEM = Problem("t/0", "Add two numbers.", "add")
ROOT = State("t/0")
QUICK = OpenAISettings(tries=3, backoff_s=0.001, timeout_s=5.0)


def spelled(ids):
    return "".join(map(chr, ids))


def propose(engine, step_format=PSEUDOCODE, state=ROOT, n=1, **sampling):
    policy = LanguageModelPolicy(engine, step_format)
    return policy.propose([PolicyRequest(PROBLEM, state, n, Sampling(**sampling), 7)])[0]


def test_prompts_go_as_ids_and_children_extend_them(serve):
    server, engine = serve(["plan\n\n### Step 2 ("])
    policy = LanguageModelPolicy(engine)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    child = ROOT.then(PSEUDOCODE.parse(proposal.text))
    policy.propose([PolicyRequest(PROBLEM, child, 1)])
    first, second = (body["prompt"] for _, body, _ in server.seen)
    assert spelled(first).endswith("### Step 1 (define)\n")
    assert spelled(second) == spelled(first) + "plan\n\n### Step 2 ("


def test_ids_and_logprobs_are_trimmed_to_the_step(serve):
    _, engine = serve(["plan\n\n### Step 2 ("])
    proposal = propose(engine)[0]
    # The server stops before "\n### Step" and sampled 18 tokens in all; blanks at the end are dropped.
    assert proposal.text == "### Step 1 (define)\nplan"
    assert spelled(proposal.token_ids) == "plan"
    assert (proposal.tokens, proposal.logprob) == (18, -2.0)
    # All that was sampled is kept beside: a training learns the end of a step too.
    assert spelled(proposal.sampled_ids) == "plan\n\n### Step 2 ("
    assert proposal.sampled_logprobs == (-0.5,) * 18


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (
            ["plan", ".\n\n", "###", " Step"],
            ["plan", ".\n\n"],
        ),  # a token that ends the step and more is kept whole
        (
            ["pl", "", "\u2192", "\n", "### Step"],
            ["pl", "", "\u2192"],
        ),  # the first of two tokens of one letter is empty
        (["plan", "<|im_end|>"], ["plan"]),
        (["<|im_end|>"], []),
    ],
)
def test_a_step_ends_between_tokens(pieces, kept):
    prompt = PSEUDOCODE.prompt(PROBLEM, ROOT)
    request = Generate(prompt, (1,), 1, Sampling(), 0, PSEUDOCODE.boundary)
    text = "".join(pieces).partition("\n### Step")[0].removesuffix("<|im_end|>")
    logprobs = {"tokens": pieces, "token_logprobs": [-0.5] * len(pieces)}
    choice = {
        "text": text,
        "token_ids": list(range(len(pieces))),
        "logprobs": logprobs,
        "finish_reason": "stop",
    }
    said = read_choice(choice)
    completion = continued(said, said.tokens, request)
    assert completion.text == "".join(kept)
    assert completion.token_ids == tuple(range(len(kept)))
    assert (completion.tokens, completion.logprob) == (len(pieces), -0.5 * len(kept))


def test_ids_that_do_not_spell_the_text_are_not_kept():
    request = Generate(PSEUDOCODE.prompt(PROBLEM, ROOT), (1,), 1, Sampling(), 0, PSEUDOCODE.boundary)
    logprobs = {"tokens": ["some", "thing"], "token_logprobs": [-0.5, -0.5]}
    choice = {"text": "a plan", "token_ids": [1, 2], "logprobs": logprobs, "finish_reason": "stop"}
    said = read_choice(choice)
    completion = continued(said, said.tokens, request)
    assert (completion.text, completion.token_ids, completion.tokens) == ("a plan", (), 2)


def test_a_program_ends_at_its_fence(serve):
    _, engine = serve(["x = 1\n```\nThis program sets x."])
    proposal = propose(engine, VANILLA)[0]
    assert VANILLA.parse(proposal.text).text == "x = 1"


def test_sampling_travels(serve):
    server, engine = serve()
    propose(engine, n=3, temperature=0.3, top_p=0.7, top_k=9, max_tokens=55)
    path, body, _ = server.seen[0]
    assert path == "/v1/completions"
    wanted = {
        "model": "tiny",
        "n": 3,
        "temperature": 0.3,
        "top_p": 0.7,
        "top_k": 9,
        "max_tokens": 55,
        "seed": 7,
    }
    assert {name: body[name] for name in wanted} == wanted


def test_seeds_may_stay_at_home(serve):
    server, engine = serve(settings=dataclasses.replace(QUICK, seeds=0))
    propose(engine)
    assert "seed" not in server.seen[0][1]


def test_own_draws_are_told_to_the_server_one_by_one(serve):
    server, engine = serve(settings=dataclasses.replace(QUICK, draws="own"))
    assert len(propose(engine, n=3, temperature=0.3, top_p=0.7, top_k=9)) == 3
    bodies = sorted((body for _, body, _ in server.seen), key=lambda body: body["vllm_xargs"]["sample"])
    told = {"temperature": 0.3, "top_p": 0.7, "top_k": 9, "seed": 7}
    assert [body["vllm_xargs"] for body in bodies] == [{**told, "sample": sample} for sample in range(3)]
    assert {(body["n"], body["temperature"], body["top_k"], "seed" in body) for body in bodies} == {
        (1, 0.0, -1, False)
    }
    assert (engine.counters.requests, engine.counters.batches) == (1, 3)


def test_draws_of_an_unknown_kind_are_refused():
    with pytest.raises(UsageError, match="draws is server or own, not 'mine'"):
        load_policy("openai:http://127.0.0.1:1/v1?draws=mine#tiny")


def test_servers_without_tokenizer_get_a_conversation(serve):
    server, engine = serve(["### Step 2 (refine)\nmore detail\n### Step 3 (code)\n"], tokens=False)
    state = ROOT.then(PSEUDOCODE.parse("### Step 1 (define)\nplan"))
    proposal = propose(engine, state=state)[0]
    path, body, _ = server.seen[0]
    assert path == "/v1/chat/completions"
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "user"]
    last = body["messages"][-1]["content"]
    assert "So far:\n### Step 1 (define)\nplan" in last
    assert last.endswith("Begin your answer with: ### Step 2 (")
    assert proposal.text == "### Step 2 (refine)\nmore detail"
    assert proposal.token_ids == ()
    assert proposal.logprob == -0.5 * len("### Step 2 (refine)\nmore detail")


def test_fewer_choices_than_asked_are_asked_for_again(serve):
    server, engine = serve(choices=2)
    assert len(propose(engine, n=5)) == 5
    assert [body["n"] for _, body, _ in server.seen] == [5, 3, 1]
    assert len({body["seed"] for _, body, _ in server.seen}) == 3


@pytest.mark.parametrize(
    "failure", [(429, "slow down"), (500, "oops"), (503, "busy"), (200, "not json"), (200, "[1]")]
)
def test_passing_failures_are_retried(serve, failure):
    server, engine = serve()
    server.failures = [failure, failure]
    assert propose(engine)[0].text.endswith("\nplan")
    assert len(server.seen) == 3


def test_lasting_failures_are_a_typed_error(serve):
    server, engine = serve()
    server.failures = [(500, "oops")] * 3
    with pytest.raises(PolicyError, match=r"HTTP 500: oops \(tried 3 times\)"):
        propose(engine)
    assert len(server.seen) == 3


def test_a_refused_prompt_is_an_error_at_once(serve):
    server, engine = serve()
    server.failures = [(400, {"error": "maximum context length is 2048"})]
    with pytest.raises(PromptTooLongError, match=r"HTTP 400: .*maximum context length"):
        propose(engine)
    assert len(server.seen) == 1
    server.failures = [(400, {"error": "temperature must be at most 2"})]
    with pytest.raises(PolicyError) as refused:
        propose(engine)
    assert not isinstance(refused.value, PromptTooLongError)


def test_an_address_without_its_end_is_told(serve):
    server, engine = serve(urls=lambda server: [server.url.removesuffix("/v1")])
    server.failures = [(404, {"detail": "Not Found"})] * 9
    with pytest.raises(PolicyError, match=r"HTTP 404: .*Not Found.* \(addresses .* end in /v1\)"):
        propose(engine)


@pytest.mark.parametrize(
    "answer", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [None]}, {"choices": 3}]
)
def test_garbage_is_a_typed_error(serve, answer):
    server, engine = serve()
    server.failures = [(200, answer)]
    with pytest.raises(PolicyError, match="the answer"):
        propose(engine)


def test_the_next_server_takes_over(serve):
    server, engine = serve(urls=lambda server: ["http://127.0.0.1:9/v1", server.url, "http://127.0.0.1:9/v1"])
    assert propose(engine)[0].text.endswith("\nplan")
    assert len(server.seen) == 1


def test_a_dead_server_is_named():
    engine = OpenAIEngine(["http://127.0.0.1:9/v1"], "tiny", QUICK)
    with pytest.raises(PolicyError, match=r"127\.0\.0\.1:9.*ConnectError"):
        propose(engine)
    engine.close()


def test_a_run_begins_only_where_a_server_is_there(serve):
    dead = "openai:http://127.0.0.1:9/v1?model=tiny"
    with pytest.raises(PolicyError, match=r"no server answers at http://127\.0\.0\.1:9/v1: .*refused"):
        prepare(load_policy(dead))
    server, _ = serve()
    prepare(load_policy(f"openai:http://127.0.0.1:9/v1,{server.url}?model=tiny"))
    assert server.seen == []  # no request for tokens


def test_the_key_comes_from_the_environment(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "abc")
    server, engine = serve()
    propose(engine)
    assert server.seen[0][2] == "Bearer abc"


def test_counters_are_what_the_server_says(serve):
    _, engine = serve(["abcd"])
    propose(engine, n=2)
    counters = engine.counters
    assert (counters.prompt_tokens, counters.cached_tokens, counters.generated_tokens) == (7, 3, 8)
    assert (counters.requests, counters.batch_sizes) == (1, ((2, 1),))


def test_many_requests_are_in_flight_together(serve):
    server, engine = serve()
    policy = LanguageModelPolicy(engine)
    requests = [PolicyRequest(PROBLEM, ROOT, 1, Sampling(), seed) for seed in range(40)]
    assert len(policy.propose(requests)) == 40
    assert {body["seed"] for _, body, _ in server.seen} == set(range(40))


def test_the_string_names_servers_options_and_model():
    policy = load_policy("openai:http://a:1/v1,http://b:2/v1?parallel=3&tries=1#org/model")
    assert isinstance(policy, LanguageModelPolicy)
    assert policy.parallel == 3
    for spec in ("openai:http://a:1/v1", "openai:#model", "openai:http://a:1/v1?parallel=0#m"):
        with pytest.raises(UsageError):
            load_policy(spec)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[openai\]"):
        OpenAIEngine(["http://a:1/v1"], "m")


def test_a_thought_that_the_servers_template_opens_is_closed_or_given_a_budget(serve):
    server, engine = serve(["sum", "plan\n"])
    server.tail = "<think>\n"
    propose(engine)
    assert "\n</think>\n\n### Step 1 (define)\n" in spelled(server.seen[0][1]["prompt"])
    server.replies = ["sum</think>\n\n"]
    policy = LanguageModelPolicy(engine, think_tokens=20)
    (proposal,) = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0]
    assert proposal.text.startswith("<think>\nsum\n</think>\n\n### Step 1 (define)\n")
    assert spelled(server.seen[-1][1]["prompt"]).endswith("sum\n</think>\n\n### Step 1 (define)\n")
    server.tail = ""
    engine._tails.clear()
    with pytest.raises(UsageError, match="opens no thought"):
        policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])


def test_an_address_without_http_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="did you mean http://localhost:8000/v1"):
        load_policy("openai:localhost:8000/v1#m")


def test_a_thought_may_end_with_a_control_token(serve):
    server, engine = serve(["sum[/THINK]\n\nplan"], controls=("[/THINK]",))
    server.tail = "[THINK]\n"
    policy = LanguageModelPolicy(engine, think_tokens=20)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    assert proposal.text.startswith("[THINK]\nsum\n[/THINK]\n\n### Step 1 (define)\n")
    assert spelled(server.seen[-1][1]["prompt"]).endswith("sum\n[/THINK]\n\n### Step 1 (define)\n")
