"""Widens inferred domains by the constants that a program compares with, and beyond the known shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from o1coder_gym.tcg.inputs.domains import Domain, Either, Mappings, Records, Sequences, TextForm, Texts


def with_characters(domain: Domain, characters: str) -> Domain:
    """Adds characters that a program compares with to all strings of a domain, and draws them often.

    Marks that were not seen only join; see `edits.only_joins`.
    """

    def add(one: Domain) -> Domain:
        if not isinstance(one, Texts) or not characters:
            return one
        unseen = _unseen(one, characters)
        # A separator at an end or twice in a row is rarely allowed; letters and digits may stand anywhere.
        marks = [character for character in unseen if not character.isalnum()]
        return replace(
            one,
            alphabet=one.alphabet + unseen,
            joints="".join((one.joints, *marks)),
            special=characters,
        )

    return _changed(domain, add)


def without_shape(domain: Domain, characters: str) -> Domain:
    """Drops every property that observed values share except types: order, distinctness, brackets, joints.

    Args:
        domain: An inferred domain.
        characters: Characters that strings may hold besides those seen.
    """

    def relax(one: Domain) -> Domain:
        match one:
            case Sequences():
                return replace(one, increasing=False, distinct=False)
            case Texts():
                form = TextForm.FREE if one.form is TextForm.BALANCED else one.form
                return replace(one, alphabet=one.alphabet + _unseen(one, characters), form=form, joints="")
        return one

    return _changed(domain, relax)


def _unseen(texts: Texts, characters: str) -> str:
    return "".join(sorted({*characters} - {*texts.alphabet}))


def _changed(domain: Domain, change: Callable[[Domain], Domain]) -> Domain:
    """Applies a change to a domain and to all domains in it, inner ones first."""
    match domain:
        case Sequences(item=item):
            return change(replace(domain, item=_changed(item, change)))
        case Records(places=places):
            return change(replace(domain, places=tuple(_changed(place, change) for place in places)))
        case Mappings(key=key, item=item):
            return change(replace(domain, key=_changed(key, change), item=_changed(item, change)))
        case Either(options=options):
            inner = tuple((kind, _changed(option, change)) for kind, option in options)
            return change(replace(domain, options=inner))
    return change(domain)
