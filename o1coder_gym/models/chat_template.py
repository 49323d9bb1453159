"""Conversations as text and as tokens: one renderer for policies, SFT, PRM, TCG, DPO and RL.

What is trained on is the policy's own prompt, token by token, and behind it the answer. Models without a
template are shown the turns as plain text; a system turn that a template refuses or drops goes into the first
user turn, and one that takes texts in parts is given parts; a thought that a template opens is closed, for
what follows is the answer.

The template alone writes control tokens. Where a question or a program spells one, ``<|im_end|>``, it is cut
behind its first character before it is encoded: it stays text, and a turn cannot be ended from inside.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from itertools import pairwise, product
from typing import Any, TypeAlias

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.steps.formats import opening_ends
from o1coder_gym.steps.thinking import before_answer, behind_thought, tags_of

Turn: TypeAlias = Mapping[str, str]
"""``role`` (system, user, assistant) and ``content``."""

Tokenizer: TypeAlias = Any
"""A tokenizer of transformers, slow or fast; their types promise less than they keep."""

# Any text that no template contains: what stands behind it in a rendered turn ends the turn.
_MARK = "o1coder answer"

_UNUSED = "\ufdd0"
"""A character that Unicode gives to nobody: no text has it."""


@dataclass(frozen=True, slots=True)
class TrainingTokens:
    """A training row: token ids of a prompt and its answer.

    Attributes:
        prompt: The policy's prompt.
        answer: The learned tokens: the answer and the end of its turn.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def with_template_arguments(tokenizer: Tokenizer, arguments: Mapping[str, Any] | None) -> Tokenizer:
    """Sets variables of the chat template permanently, also in saved files; returns the tokenizer.

    Args:
        tokenizer: Changed in place.
        arguments: JSON values by name, e.g. ``{"enable_thinking": False}``; None or empty: nothing changes.
            Of a name that the template never reads a warning says so: one suite may name many models.

    Raises:
        UsageError: When there is no template to take them, or a name is none or the renderer's own.
    """
    if not arguments:
        return tokenizer
    if not tokenizer.chat_template:
        raise UsageError(f"template arguments {dict(arguments)}: the model has no chat template")
    # Names go into the template's source: anything else than an identifier would be code in it.
    for name in arguments:
        if not name.isidentifier():
            raise UsageError(f"template argument {name!r} is no name of a variable")
        if name in ("messages", "add_generation_prompt"):
            raise UsageError(
                f"template argument {name!r} is what each conversation itself gives the template"
            )
    found = tokenizer.chat_template
    templates = found if isinstance(found, dict) else {"": found}
    read = {word for text in templates.values() for word in re.findall(r"[^\W\d]\w*", text)}
    for name in sorted(arguments.keys() - read):
        near = "".join(f"; it reads {word!r}" for word in get_close_matches(name, read, 1, 0.8))
        warnings.warn(f"the chat template does not read {name!r}, which changes nothing{near}", stacklevel=2)
    # Prefixed to the template, so that what is saved and every other library that renders it has them too.
    # transformers gives tools and documents as none to all templates.
    head = "".join(
        f"{{% if {name}|default(none) is none %}}{{% set {name} = {_literal(value)} %}}{{% endif %}}"
        for name, value in arguments.items()
    )
    headed = {name: head + text for name, text in templates.items()}
    tokenizer.chat_template = headed if isinstance(found, dict) else headed[""]
    return tokenizer


def render_prompt(tokenizer: Tokenizer, turns: Sequence[Turn]) -> str:
    """Returns a conversation up to where the assistant writes its answer, behind a closed thought."""
    if not tokenizer.chat_template:
        return "".join(f"{turn['content']}\n\n" for turn in turns)
    text = _rendered(tokenizer, turns, generate=True)
    return text + before_answer(text, tags_of(_template(tokenizer)))


def render_thought(tokenizer: Tokenizer, turns: Sequence[Turn]) -> tuple[str, str]:
    """Returns a conversation up to where the assistant thinks, and the tag that ends the thought.

    Raises:
        UsageError: When the template knows no thoughts.
    """
    tags = tags_of(_template(tokenizer))
    if tags is None:
        raise UsageError("the model's chat template knows no thoughts, so there is nothing to give tokens to")
    text = _rendered(tokenizer, turns, generate=True)
    opened = text.rstrip().endswith(tags[0])
    return (text if opened else f"{text}{tags[0]}\n"), tags[1]


def encode_thought(tokenizer: Tokenizer, turns: Sequence[Turn]) -> tuple[tuple[int, ...], str]:
    """Returns `render_thought` with its text as ids; raises as it does."""
    cut, turns, _ = _cut(tokenizer, turns)
    text, closing = render_thought(tokenizer, turns)
    return tuple(token for piece in text.split(cut) for token in _encode(tokenizer, piece)), closing


def encode_prompt(tokenizer: Tokenizer, turns: Sequence[Turn], beginning: str = "") -> tuple[int, ...]:
    """Returns the ids of a conversation and of the beginning of the answer.

    Args:
        tokenizer: Of the model.
        turns: The conversation; the last turn is the user's.
        beginning: The beginning of the assistant's turn.
    """
    cut, turns, beginning = _cut(tokenizer, turns, beginning)
    first, *others = (render_prompt(tokenizer, turns) + beginning).split(cut)
    ids = list(tokenizer.encode(first, add_special_tokens=not tokenizer.chat_template))
    while not tokenizer.chat_template and ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()  # some end each text by themselves
    return (*ids, *(token for piece in others for token in _encode(tokenizer, piece)))


def encode_more(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Returns the ids of text that continues an answer; it stays text, whatever it spells."""
    return tuple(token for piece in text_pieces(tokenizer, text) for token in _encode(tokenizer, piece))


def text_pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """Returns text of an answer in pieces that spell no control token, but for tags of thoughts."""
    places = [0, *(found.end() for found in _controls(tokenizer, answer=True).finditer(text)), len(text)]
    return [text[begin:end] for begin, end in pairwise(places)]


def _cut(
    tokenizer: Tokenizer, turns: Sequence[Turn], beginning: str = ""
) -> tuple[str, list[dict[str, str]], str]:
    """Returns a mark, and a conversation that has it wherever the text of a control token is to be cut.

    What is marked passes through a template as it is; behind it the control tokens that are whole are the
    template's own.
    """
    said, mark = "\n".join([*(turn["content"] for turn in turns), beginning]), _UNUSED
    while mark in said:
        mark += _UNUSED
    asked, answered = (_controls(tokenizer, answer=answer) for answer in (False, True))
    cut: list[dict[str, str]] = []
    for turn in turns:
        controls = answered if turn["role"] == "assistant" else asked
        cut.append({**turn, "content": controls.sub(rf"\g<0>{mark}", turn["content"])})
    return mark, cut, answered.sub(rf"\g<0>{mark}", beginning)


def _controls(tokenizer: Tokenizer, *, answer: bool) -> re.Pattern[str]:
    """Returns what finds the first character of each text of a control token.

    In an answer, the tags of the model's own thoughts are no such texts: they are written by whoever thinks.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {token.content for token in added if token.special} | {*map(str, tokenizer.all_special_tokens)}
    if answer and (tags := tags_of(_template(tokenizer))):
        written = "".join(tags) + behind_thought(tags[1])
        texts = {text for text in texts if text not in written}
    return _first_characters(frozenset(texts))


@lru_cache(maxsize=64)
def _first_characters(texts: frozenset[str]) -> re.Pattern[str]:
    # A text of one character cannot be cut; none is nothing that is found.
    found = (f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in sorted(texts) if len(text) > 1)
    return re.compile("|".join(found) or r"(?!)")


def _encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Returns the ids of what stands within a turn, also where a tokenizer begins each text with a blank."""
    if not text:
        return ()
    ids = tokenizer.encode(text, add_special_tokens=False)
    # SentencePiece puts a blank before each text; behind an anchor token it puts none.
    if ids and not text.startswith((" ", "▁")) and _piece(tokenizer, ids[0]).startswith("▁"):
        anchor = tokenizer.encode("\n", add_special_tokens=False)
        anchored = tokenizer.encode(f"\n{text}", add_special_tokens=False)
        if anchored[: len(anchor)] == anchor:
            return tuple(anchored[len(anchor) :])
    return tuple(ids)


def ending(tokenizer: Tokenizer) -> str:
    """Returns the text that follows an assistant's answer; "" if nothing ends a turn."""
    if not tokenizer.chat_template:
        return tokenizer.eos_token or ""
    # Read off a rendered conversation: no attribute of a tokenizer says how its template ends a turn.
    turns = [{"role": "user", "content": "o1coder question"}, {"role": "assistant", "content": _MARK}]
    text = _rendered(tokenizer, turns, generate=False)
    return text.rpartition(_MARK)[2] if _MARK in text else tokenizer.eos_token or ""


def end_tokens(model: Any, tokenizer: Tokenizer) -> frozenset[int]:
    """Returns the tokens that end a turn: those of tokenizer and configurations, and those of the template.

    Args:
        model: A transformers model, or None.
        tokenizer: Its tokenizer.
    """
    found: set[int | None] = {tokenizer.eos_token_id}
    for config in (getattr(model, "config", None), getattr(model, "generation_config", None)):
        tokens = getattr(config, "eos_token_id", None)
        found |= set(tokens if isinstance(tokens, list | tuple) else [tokens])
    # Only special tokens: a template may end a turn with a line end too, which occurs in answers.
    special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
    found |= special.intersection(_encode(tokenizer, ending(tokenizer)))
    return frozenset(int(token) for token in found if token is not None)


def training_tokens(tokenizer: Tokenizer, turns: Sequence[Turn], answer: str) -> TrainingTokens:
    """Returns a prompt and its answer as tokens, cut where the policy's own prompts end.

    So no token reaches over such a place in training, as none does in sampling.

    Args:
        tokenizer: Of the model.
        turns: The conversation; the last turn is the user's.
        answer: The whole answer, openings of steps included.
    """
    first, *later = [*opening_ends(answer), len(answer)]
    # Up to the first opening, as the policy is prompted; from there in the pieces that it samples.
    ids = encode_prompt(tokenizer, turns, answer[:first])
    # where the prompt's last characters and the opening's first are one token, it belongs to the answer
    prompt = ids[: _first_difference(encode_prompt(tokenizer, turns), ids)]
    # Encoded piece by piece: each opening is put in by the format, and no sampled token crosses its end.
    for begin, end in pairwise([first, *later]):
        ids += encode_more(tokenizer, answer[begin:end])
    return TrainingTokens(prompt, ids[len(prompt) :] + _encode(tokenizer, ending(tokenizer)))


def check_training_tokens(
    tokenizer: Tokenizer, rows: Iterable[tuple[Sequence[Turn], str, TrainingTokens]]
) -> None:
    """Checks that the policy's prompt is a prefix, token by token, of each text trained on.

    Args:
        tokenizer: Of the model.
        rows: Conversation, answer and tokens of each.

    Raises:
        O1CoderError: When it is not; shows the first row that breaks it.
    """
    for number, (turns, answer, tokens) in enumerate(rows):
        opening = answer[: next(iter(opening_ends(answer)), 0)]
        shown, trained = encode_prompt(tokenizer, turns, opening), tokens.prompt + tokens.answer
        place = _first_difference(shown, trained)
        if opening and place < len(shown):
            sides = (tokenizer.decode(list(ids[max(0, place - 8) : place + 8])) for ids in (shown, trained))
            raise O1CoderError(
                f"row {number}: the policy's prompt is no prefix of what is trained on, from token {place} "
                f"on: shown {next(sides)!r}, trained {next(sides)!r}"
            )


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns how many tokens two sequences have in common at their beginnings."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _rendered(tokenizer: Tokenizer, turns: Sequence[Turn], *, generate: bool) -> str:
    """Applies the template to the first form of a conversation that it shows.

    Raises:
        UsageError: When it refuses all of them or shows no question.
    """
    from jinja2 import TemplateError

    render = partial(tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=generate)
    # A template may quote what is said, as JSON for instance, but shows a few plain words as they are.
    marked = [{**turn, "content": f"{_MARK} {place}"} for place, turn in enumerate(turns)]
    refusal = "shows no question"
    # Some show the last question alone, whatever stands before it.
    for shown, roles in product((turns, marked), (("system",), ())):
        *_, question = (turn["content"] for turn in shown if turn["role"] == "user")
        said = [question, *(turn["content"] for turn in shown if turn["role"] in roles)]
        for form, tried in zip(_forms(turns), _forms(shown), strict=True):
            try:
                text = render(tried)
                if all(content.strip() in text for content in said):
                    return text if shown is turns else render(form)
            except (TemplateError, LookupError, TypeError, ValueError) as error:
                refusal = f"refuses the conversation: {error}"
    raise UsageError(f"the model's chat template {refusal}")


def _forms(turns: Sequence[Turn]) -> Iterator[list[dict[str, Any]]]:
    """Yields a conversation as it is, without a system turn, and each of them with contents in parts."""
    plain = [dict(turn) for turn in turns]
    yield plain
    system = "\n\n".join(turn["content"] for turn in plain if turn["role"] == "system")
    rest = [dict(turn) for turn in plain if turn["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
        yield rest
    # Of models that see images too.
    for form in (plain, rest):
        yield [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in form]


def _piece(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.convert_ids_to_tokens(token) or ""


def _template(tokenizer: Tokenizer) -> str:
    found = tokenizer.chat_template or ""
    return "\n".join(found.values()) if isinstance(found, dict) else found


def _literal(value: Any) -> str:
    """Returns a JSON value in Jinja's spelling, whose null is another at any depth."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value)
