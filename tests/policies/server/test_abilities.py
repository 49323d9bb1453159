"""What refusals of real servers teach, word by word."""

import json

import pytest

from o1coder_gym.policies.server.abilities import Abilities
from o1coder_gym.policies.server.http import Refused, retry_after

CHAT = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}
BODY = CHAT | {
    "n": 3,
    "max_tokens": 9,
    "temperature": 0.0,
    "top_p": 1.0,
    "seed": 1,
    "logprobs": True,
    "stop": ["x"],
}


def refusal(words, param=None, status=400):
    return Refused("http://a", status, json.dumps({"error": {"message": words, "param": param}}))


@pytest.mark.parametrize(
    ("words", "param", "changes"),
    [
        (
            "Unsupported value: 'messages[0].role' does not support 'system'",
            "messages[0].role",
            {"system": False},
        ),
        ("Conversation roles must alternate user/assistant", None, {"system": False}),
        ("n must be 1 when using greedy sampling, got 3.", None, {"choices": False}),
        ("n must be at most 2, got 3", None, {"choices": False}),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            None,
            {"left_out": ("top_p",)},
        ),
        ("This model does not support multiple candidates", "n", {"choices": False}),
        ("Unrecognized request argument supplied: seed", None, {"left_out": ("seed",)}),
        ("'stop' is not supported with this model.", "stop", {"left_out": ("stop",)}),
        ("logprobs is not supported with reasoning models", None, {"left_out": ("logprobs",)}),
        (
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            {"limit": "max_completion_tokens"},
        ),
    ],
)
def test_what_a_refusal_teaches(words, param, changes):
    known = Abilities().after(refusal(words, param), BODY)
    assert known is not None
    assert {name: getattr(known, name) for name in changes} == changes
    assert known.after(refusal(words, param), known.fit(BODY)) is None  # it is learned once


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be at most 2",
        "'max_tokens' or 'max_completion_tokens' is too large: 384. The maximum context length is 256",
        "maximum context length is 4096 tokens; you requested 5000, please reduce the messages or completion",
        "please stop sending forbidden words",
        "",
    ],
)
def test_other_refusals_teach_nothing(words):
    assert Abilities().after(refusal(words), BODY) is None


def test_a_request_is_made_to_fit():
    known = Abilities(system=False, choices=False, limit="max_completion_tokens", left_out=("seed", "top_p"))
    fitted = known.fit(BODY)
    assert fitted["messages"] == [{"role": "user", "content": "s\n\nu"}]
    assert (fitted["n"], fitted["max_completion_tokens"]) == (1, 9)
    assert not {"seed", "top_p", "max_tokens"} & set(fitted)
    assert known.fit({"prompt": "a"}) == {"prompt": "a"}
    assert CHAT["messages"][1]["content"] == "u"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert retry_after(headers) == seconds
