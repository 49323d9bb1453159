"""A zoo of servers, each with one quirk of a real one: right answers count to the token, errors are typed."""

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import fastapi

from o1coder_gym.errors import PolicyError, UsageError
from o1coder_gym.policies import (
    LanguageModelPolicy,
    OpenAIEngine,
    OpenAISettings,
    load_policy,
    loading,
    server_abilities,
)
from o1coder_gym.policies.server.abilities import PROBE
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Sampling, State, Step
from tests.served import served

PROBLEM = Problem("t/0", "Add two numbers.", "add")
ADD = "def add(a, b):\n    return a + b"
FENCED = f"```python\n{ADD}\n```"
QUICK = OpenAISettings(tries=3, backoff_s=0.001, timeout_s=10.0, parallel=4)


class Zoo:
    """Speaks as a chat server whose tokens are characters; a quirk is the first part of the path.

    A quirk is a function of body and answer text that returns an answer's JSON, or status, words and headers.
    """

    def __init__(self):
        self.seen = {}
        self.port = 0
        self.app = app = fastapi.FastAPI()

        @app.post("/{quirk}/tokenize")
        async def tokenize(quirk: str, request: fastapi.Request):
            return self.respond(TOKENIZERS.get(quirk, no_tokenizer)(await request.json()))

        @app.post("/{quirk}/v1/{path:path}")
        async def complete(quirk: str, path: str, request: fastapi.Request):
            body = await request.json()
            self.seen.setdefault(quirk, []).append(body)
            return self.respond(QUIRKS[quirk](body))

    def respond(self, answer):
        status, content, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        text = content if isinstance(content, str) else json.dumps(content)
        return fastapi.Response(text, status, headers, "application/json")

    def url(self, quirk):
        return f"http://127.0.0.1:{self.port}/{quirk}/v1"

    def asked(self, quirk):
        """The requests but those that probe."""
        return [body for body in self.seen[quirk] if PROBE[0] not in json.dumps(body)]


@pytest.fixture(scope="module")
def zoo():
    zoo = Zoo()
    with served(zoo.app, log_level="error", lifespan="off") as zoo.port:
        yield zoo


@pytest.fixture
def engines(monkeypatch):
    """The engines that specs make during a test; closed behind it."""
    made = {}
    monkeypatch.setattr(loading, "_engines", made)
    yield made
    for _, engine in made.values():
        if isinstance(engine, OpenAIEngine):
            engine.close()


@pytest.fixture
def propose(zoo):
    opened = []

    def run(quirk, step_format=VANILLA, *, n=1, settings=QUICK, **sampling):
        engine = OpenAIEngine([zoo.url(quirk)], "m", settings)
        opened.append(engine)
        policy = LanguageModelPolicy(engine, step_format)
        return policy.propose([PolicyRequest(PROBLEM, State("t/0"), n, Sampling(**sampling), 7)])[0]

    yield run
    for engine in opened:
        engine.close()


def message(content, **more):
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}


def answer(body, text: Any = FENCED, *, n=None, usage=None):
    """What a plain server says: `n` times the same, a token a character."""
    choices = [message(text) for _ in range(n or body.get("n", 1))]
    spent = len(text or "") * len(choices)
    return {
        "choices": choices,
        "usage": {"prompt_tokens": 9, "completion_tokens": spent} if usage is None else usage,
    }


def refuse(words, status=400, param=None):
    return status, {"error": {"message": words, "param": param, "type": "invalid_request_error"}}, {}


def no_tokenizer(body):
    return 404, {"error": "not found"}, {}


def characters(body):
    turns = "".join(turn["content"] for turn in body.get("messages", ()))
    return {"tokens": [ord(letter) for letter in turns or body["prompt"]]}


def stop_across_the_turn(
    body,
):  # transformers serve 5.24: stop strings are sought in prompt and answer together
    text = "### Step 1 (define)\na plan\n"
    stops = [stop for stop in body.get("stop") or () if stop in f"\n{text}"]
    return answer(body, "" if stops else text)


def without_system(body):
    if any(turn["role"] == "system" for turn in body["messages"]):
        return refuse("System role not supported")
    return answer(body, "### Step 1 (define)\na plan\n")


def alternating(body):
    roles = [turn["role"] for turn in body["messages"]]
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(roles)):
        return refuse("Conversation roles must alternate user/assistant/user/assistant/...", 500 - 78)
    return answer(body, "### Step 1 (define)\na plan\n")


def temperature_1(body):
    if body.get("temperature", 1) != 1:
        words = "Unsupported value: 'temperature' does not support 0.8 with this model. Only the default (1)"
        return refuse(f"{words} value is supported.", param="temperature")
    return answer(body)


def one_choice(body):
    return (
        refuse("Only one completion choice is allowed; 'n' must be 1")
        if body.get("n", 1) > 1
        else answer(body)
    )


def silently_one_choice(body):
    return answer(body, n=1)


def no_logprobs(body):
    if "logprobs" in body:
        return refuse("You are not allowed to request logprobs from this model", 403, "logprobs")
    return answer(body)


def max_completion_tokens(body):
    if "max_tokens" in body:
        words = "Unsupported parameter: 'max_tokens' is not supported with this model."
        return refuse(f"{words} Use 'max_completion_tokens' instead.", param="max_tokens")
    return answer(body)


def no_extras(body):
    extra = [name for name in body if name in ("seed", "top_p")]
    details = [{"loc": ["body", name], "msg": "Extra inputs are not permitted"} for name in extra]
    return (422, {"detail": details}, {}) if extra else answer(body)


def hosted(body):
    for quirk in (max_completion_tokens, temperature_1, no_logprobs, one_choice):
        if isinstance(refusal := quirk(body), tuple):
            return refusal
    return answer(body)


def parts(body):
    return answer(body, [{"type": "text", "text": FENCED[:9]}, {"type": "text", "text": FENCED[9:]}])


def nothing(body):
    found = answer(body, None, usage={"completion_tokens": 5})
    del found["choices"][0]["message"]["content"]
    return found


def odd_logprobs(body):
    found = answer(body)
    values = (None, float("nan"), float("-inf"), -0.5)
    for choice, value in zip(found["choices"], values, strict=False):
        entries = [{"token": letter, "logprob": -0.5} for letter in FENCED]
        entries[3]["logprob"] = value
        choice["logprobs"] = {"content": entries}
    return found


def hundred(body):
    return answer(body, usage={"prompt_tokens": 1, "completion_tokens": 100})


def thinking(body):
    return answer(body, f"<think>\n```python\ndef add(a, b): pass\n```\n</think>\n\n{FENCED}")


def thinking_apart(body):
    found = answer(body, usage={"completion_tokens": 1000})
    found["choices"][0]["message"]["reasoning_content"] = "Let me see."
    return found


def thinking_cut(body):
    return {
        "choices": [message("<think>Let me see") | {"finish_reason": "length"}],
        "usage": {"completion_tokens": 50},
    }


def too_much(body):
    return answer(body, FENCED + "\nIt adds." * 20)


def chatty(body):
    draft = "```python\ndef add(a, b):\n    return a - b\n```"
    usage = "```python\nprint(add(1, 2))\n```"
    return answer(
        body,
        f"\n\nInstall:\n```bash\npip install x\n```\nDraft:\n{draft}\nBetter:\n{FENCED}\nUse:\n{usage}\n",
    )


def going_on(needed):
    def quirk(body):
        *_, last = body["messages"]
        asked = all(body.get(name, last.get(name)) == value for name, value in needed.items())
        if last["role"] != "assistant" or not asked:
            return answer(body, PROBE[0] if PROBE[0] in json.dumps(body) else "Sure! " + FENCED)
        text = PROBE[0] if last["content"] == PROBE[1] else f"{last['content']}\n{ADD}\n```"
        text = text.removeprefix(last["content"])
        for stop in body.get("stop") or ():
            text = text.partition(stop)[0]
        return answer(body, text)

    return quirk


def fails_first(times, failure):
    """Fails some requests of a conversation, then answers."""
    left = [times]

    def quirk(body):
        if PROBE[0] in json.dumps(body):
            return answer(body)
        left[0] -= 1
        return failure() if left[0] >= 0 else answer(body)

    return quirk


def starting(times, ready):
    """Answers no request before the last of some failures."""
    left = [times]

    def quirk(body):
        left[0] -= 1
        return (503, {"error": "loading the model"}, {}) if left[0] >= 0 else ready(body)

    return quirk


def crashing(body):  # at a turn that it cannot continue
    ends = body["messages"][-1]["role"]
    return (500, {"error": "internal error"}, {}) if ends == "assistant" else answer(body)


def thinking_uncounted(body):  # xAI and Gemini: hidden thoughts are in the total alone
    usage = {"prompt_tokens": 9, "completion_tokens": len(FENCED), "total_tokens": 9 + len(FENCED) + 500}
    return answer(body, usage=usage)


def unreadable_logprobs(body):
    found = answer(body)
    odd = (
        [None],
        {"content": [None]},
        {"content": [{"logprob": -1.0}]},
        {"tokens": ["a"], "token_logprobs": []},
    )
    for choice, logprobs in zip(found["choices"], odd, strict=False):
        choice["logprobs"] = logprobs
    return found


def three_logprobs(body):
    found = answer(body)
    for choice in found["choices"]:
        choice["logprobs"] = {"content": [{"token": letter, "logprob": -0.5} for letter in FENCED[:3]]}
    return found


def total_alone(body):
    return answer(body, usage={"prompt_tokens": 9, "total_tokens": 9 + len(FENCED)})


def error_inside(code):  # gateways: status 200, and what went wrong in the answer
    return lambda: {"id": "x", "error": {"message": "the upstream is overloaded", "code": code}}


def broken_off(body):
    found = answer(body, FENCED[:20])
    found["choices"][0] |= {"finish_reason": "error", "error": {"message": "the upstream went away"}}
    return found


def either_temperature_or_top_p(body):
    if {"temperature", "top_p"} <= set(body):
        return refuse(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    return answer(body)


def at_most_two_choices(body):
    if body.get("n", 1) > 2:
        return refuse(
            "Invalid 'n': integer above maximum value. Expected a value <= 2, but got 4.", param="n"
        )
    return answer(body)


def busy(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: (429, {"error": {"message": "slow down, please"}}, named)


QUIRKS = {
    "plain": answer,
    "stop-across-the-turn": stop_across_the_turn,
    "without-system": without_system,
    "alternating": alternating,
    "temperature-1": temperature_1,
    "one-choice": one_choice,
    "silently-one-choice": silently_one_choice,
    "no-logprobs": no_logprobs,
    "max-completion-tokens": max_completion_tokens,
    "no-extras": no_extras,
    "hosted": hosted,
    "parts": parts,
    "nothing": nothing,
    "odd-logprobs": odd_logprobs,
    "hundred": hundred,
    "thinking": thinking,
    "thinking-apart": thinking_apart,
    "thinking-cut": thinking_cut,
    "too-much": too_much,
    "chatty": chatty,
    "no-usage": lambda body: answer(body, usage={}),
    "null-usage": lambda body: answer(body, usage={"prompt_tokens": None, "completion_tokens": None}),
    "no-usage-but-tokenizer": lambda body: answer(body, usage={}),
    "empty-tokenizer": answer,
    "failing-tokenizer": answer,
    "goes-on": going_on({}),
    "goes-on-by-flag": going_on({"prefix": True}),
    "goes-on-by-parameter": going_on({"continue_final_message": True, "add_generation_prompt": False}),
    "starting": starting(3, going_on({"continue_final_message": True, "add_generation_prompt": False})),
    "never-started": starting(99, answer),
    "crashing": crashing,
    "one-part": lambda body: answer(body, {"type": "text", "text": FENCED}, usage={"completion_tokens": 9}),
    "more-choices": lambda body: answer(body, n=5),
    "fewer-choices": lambda body: answer(body, n=min(2, body.get("n", 1))),
    "at-most-two-choices": at_most_two_choices,
    "unreadable-logprobs": unreadable_logprobs,
    "thinking-uncounted": thinking_uncounted,
    "either-temperature-or-top-p": either_temperature_or_top_p,
    "error-inside": fails_first(1, error_inside(429)),
    "error-inside-always": fails_first(9, error_inside("overloaded")),
    "refused-inside": fails_first(9, error_inside(400)),
    "error-beside-no-choices": fails_first(
        9, lambda: {"choices": None, "error": {"message": "the upstream is overloaded", "code": 400}}
    ),
    "three-logprobs": three_logprobs,
    "total-alone": total_alone,
    "broken-off": broken_off,
    "no-json": fails_first(9, lambda: (200, "<html>Please log in</html>", {})),
    "waits-a-fraction": fails_first(1, busy(retry_after="0.01")),
    "waits-milliseconds": fails_first(1, busy(retry_after_ms="5")),
    "waits-until": fails_first(1, lambda: busy(retry_after=formatdate(time.time() - 5, usegmt=True))()),
    "waits-for-ever": fails_first(9, busy(retry_after="86400")),
    "overloaded": fails_first(9, lambda: (503, {"error": "the queue is full"}, {})),
    "no-quota": fails_first(9, lambda: (429, {"error": {"code": "insufficient_quota"}}, {})),
}

TOKENIZERS = {
    "no-usage-but-tokenizer": lambda body: characters(body) if body["prompt"] != "a" else no_tokenizer(body),
    "empty-tokenizer": lambda body: {"tokens": []},
    "failing-tokenizer": lambda body: (
        (400, {"error": "bad turn"}, {}) if "Add two" in json.dumps(body) else characters(body)
    ),
}


@pytest.mark.parametrize(
    "quirk",
    [
        "plain",
        "fewer-choices",
        "at-most-two-choices",
        "unreadable-logprobs",
        "three-logprobs",
        "silently-one-choice",
        "one-choice",
        "parts",
        "odd-logprobs",
        "thinking",
        "too-much",
        "chatty",
        "no-usage-but-tokenizer",
        "empty-tokenizer",
    ],
)
def test_right_answers_count_with_all_their_tokens(zoo, propose, quirk):
    found = propose(quirk, n=3, max_tokens=50)
    assert [VANILLA.parse(one.text) for one in found] == [Step(ActionType.CODE, ADD)] * 3
    said = QUIRKS[quirk]({})["choices"][0]["message"]["content"]
    text = said if isinstance(said, str) else "".join(part["text"] for part in said)
    wanted = len(text) if quirk != "parts" else 1  # there the server's own usage counts parts
    assert sum(one.tokens for one in found) == pytest.approx(3 * wanted, abs=3 if quirk == "parts" else 0)
    assert all("stop" not in body for body in zoo.asked(quirk))


def test_a_stop_string_never_eats_the_opening(propose):
    (found,) = propose("stop-across-the-turn", PSEUDOCODE)
    assert PSEUDOCODE.parse(found.text) == Step(ActionType.DEFINE, "a plan")


@pytest.mark.parametrize("quirk", ["without-system", "alternating"])
def test_a_refused_system_turn_goes_into_the_question(zoo, propose, quirk):
    (found,) = propose(quirk, PSEUDOCODE)
    assert PSEUDOCODE.parse(found.text) == Step(ActionType.DEFINE, "a plan")
    last = zoo.asked(quirk)[-1]["messages"]
    assert [turn["role"] for turn in last] == ["user", "assistant", "user"]
    assert last[0]["content"].startswith("You solve Python")


@pytest.mark.parametrize(
    ("quirk", "left_out"),
    [
        ("temperature-1", "refuses temperature"),
        ("no-logprobs", "refuses logprobs"),
        ("no-extras", "refuses top_p, seed"),
    ],
)
def test_what_a_server_refuses_is_left_out_and_told_once(zoo, propose, quirk, left_out):
    with pytest.warns(UserWarning, match=left_out) as told:
        found = propose(quirk, n=3)
    assert len(told) == 1
    assert [VANILLA.parse(one.text).text for one in found] == [ADD] * 3
    assert sum(one.tokens for one in found) == 3 * len(FENCED)


def test_the_limit_has_another_name(zoo, propose):
    (found,) = propose("max-completion-tokens", max_tokens=50)
    assert (VANILLA.parse(found.text).text, found.tokens) == (ADD, len(FENCED))
    assert zoo.asked("max-completion-tokens")[-1]["max_completion_tokens"] == 50


def test_a_hosted_model_is_used_by_what_it_refuses(zoo, propose):
    with pytest.warns(UserWarning, match="left out"):
        found = propose("hosted", n=4, max_tokens=50)
    assert [VANILLA.parse(one.text).text for one in found] == [ADD] * 4
    assert [one.tokens for one in found] == [len(FENCED)] * 4
    assert [one.logprob for one in found] == [None] * 4
    seeds = [body["seed"] for body in zoo.asked("hosted")[-4:]]
    assert len(set(seeds)) == 4


def test_log_probabilities_that_are_no_numbers_are_not_known(propose):
    assert [one.logprob for one in propose("odd-logprobs", n=4)] == [None, None, None, -0.5 * len(FENCED)]


def test_log_probabilities_of_a_part_are_not_those_of_the_action(propose):
    (found,) = propose("three-logprobs")
    assert (VANILLA.parse(found.text).text, found.logprob) == (ADD, None)


def test_tokens_are_what_a_total_has_beyond_the_prompt(propose):
    (found,) = propose("total-alone")
    assert (VANILLA.parse(found.text).text, found.tokens) == (ADD, len(FENCED))


def test_choices_that_nobody_asked_for_are_paid_for(propose):
    assert [one.tokens for one in propose("more-choices", n=2)] == [len(FENCED), 4 * len(FENCED)]


def test_hidden_thoughts_in_the_total_are_paid_for(propose):
    (found,) = propose("thinking-uncounted")
    assert (VANILLA.parse(found.text).text, found.tokens) == (ADD, len(FENCED) + 500)


def test_of_two_parameters_that_exclude_each_other_one_is_sent(zoo, propose):
    with pytest.warns(UserWarning, match="refuses top_p; left out"):
        (found,) = propose("either-temperature-or-top-p")
    assert VANILLA.parse(found.text).text == ADD
    assert "temperature" in zoo.asked("either-temperature-or-top-p")[-1]


def test_content_may_be_one_part(propose):
    (found,) = propose("one-part")
    assert VANILLA.parse(found.text).text == ADD


def test_an_error_inside_an_answer_is_one(propose):
    (found,) = propose("error-inside")
    assert VANILLA.parse(found.text).text == ADD


def test_tokens_are_shared_without_loss(propose):
    assert [one.tokens for one in propose("hundred", n=3)] == [34, 33, 33]


def test_a_turn_without_content_is_an_empty_answer(propose):
    (found,) = propose("nothing")
    assert (VANILLA.parse(found.text).type, found.tokens) == (ActionType.MALFORMED, 5)


def test_thoughts_are_paid_for_recorded_and_no_part_of_the_program(propose):
    (apart,) = propose("thinking-apart")
    assert "Let me see." in apart.text
    assert (VANILLA.parse(apart.text).text, apart.tokens) == (ADD, 1000)
    (cut,) = propose("thinking-cut")
    assert (VANILLA.parse(cut.text).type, cut.finish, cut.tokens) == (ActionType.MALFORMED, "length", 50)


@pytest.mark.parametrize("quirk", ["no-usage", "null-usage"])
def test_answers_that_nobody_can_count_are_refused(propose, quirk):
    with pytest.raises(PolicyError, match="no token counts and has no tokenizer"):
        propose(quirk)


def test_a_tokenizer_that_fails_is_not_a_model_without_template(propose):
    with pytest.raises(PolicyError, match=r"HTTP 400: .*bad turn"):
        propose("failing-tokenizer")


@pytest.mark.parametrize(
    ("quirk", "way"),
    [
        ("goes-on", "continue_final_message"),
        ("goes-on-by-flag", "prefix"),
        ("goes-on-by-parameter", "continue_final_message"),
    ],
)
def test_a_server_that_goes_on_is_given_the_opening(zoo, propose, quirk, way):
    (found,) = propose(quirk)
    assert found.text == f"```python\n{ADD}"
    assert VANILLA.parse(found.text) == Step(ActionType.CODE, ADD)
    last = zoo.asked(quirk)[-1]
    assert last["messages"][-1]["content"].endswith("```python")
    assert last["stop"] == ["\n```"]
    probes = [body for body in zoo.seen[quirk] if PROBE[0] in json.dumps(body)]
    propose(quirk)
    assert ("prefix" in probes[-1]["messages"][-1]) == (way == "prefix")
    assert len(probes) == 1 + (way == "prefix")


def test_a_server_that_is_only_starting_settles_nothing(zoo, propose):
    (found,) = propose("starting")
    assert found.text == f"```python\n{ADD}"
    with pytest.raises(PolicyError, match=r"HTTP 503: .*loading the model.*tried 3 times"):
        propose("never-started")
    assert len(zoo.seen["never-started"]) == 2 * QUICK.tries  # once with a turn to continue, once without
    (found,) = propose("crashing")
    assert VANILLA.parse(found.text).text == ADD


@pytest.mark.parametrize("quirk", ["waits-a-fraction", "waits-milliseconds", "waits-until"])
def test_a_busy_server_is_asked_again_when_it_says(propose, quirk):
    slow = OpenAISettings(tries=2, backoff_s=1000.0, timeout_s=5.0)
    (found,) = propose(quirk, settings=slow)
    assert VANILLA.parse(found.text).text == ADD


@pytest.mark.parametrize(
    ("quirk", "words", "requests"),
    [
        ("error-inside-always", "HTTP 502: .*the upstream is overloaded.*tried 3 times", 3),
        ("refused-inside", "HTTP 400: .*the upstream is overloaded", 1),
        ("error-beside-no-choices", "HTTP 400: .*the upstream is overloaded", 1),
        ("broken-off", "it broke off: .*the upstream went away", 1),
        ("no-json", "not JSON that is an object: '<html>Please log in", 3),
        ("overloaded", "HTTP 503: .*the queue is full.*tried 3 times", 3),
        ("waits-for-ever", "HTTP 429: .*slow down, please.*asks to wait 86400 s", 1),
        ("no-quota", "HTTP 429: .*insufficient_quota", 1),
    ],
)
def test_a_server_that_gives_up_is_quoted(zoo, propose, quirk, words, requests):
    with pytest.raises(PolicyError, match=words):
        propose(quirk)
    assert len(zoo.asked(quirk)) == requests


def test_the_record_of_a_server(zoo, engines):
    with pytest.warns(UserWarning, match="left out"):
        found = server_abilities(f"openai:{zoo.url('hosted')}#m")
    told = (found.tokens, found.continuation, found.choices, found.limit, found.logprobs, found.usage)
    assert told == (False, "", False, "max_completion_tokens", False, True)
    assert found.to_row()["left_out"] == ["temperature", "logprobs"]
    with pytest.raises(UsageError, match="names no server"):
        server_abilities("fake")


def test_the_address_comes_from_the_environment(zoo, engines, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match="OPENAI_BASE_URL"):
        load_policy("openai:#m")
    monkeypatch.setenv("OPENAI_BASE_URL", zoo.url("plain"))
    for spec in ("openai:#m", "openai?model=m"):
        policy = load_policy(spec, format="vanilla")
        (found,) = policy.propose([PolicyRequest(PROBLEM, State("t/0"))])
        assert VANILLA.parse(found[0].text).text == ADD
    assert len(engines) == 1
