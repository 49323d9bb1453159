"""The candidate's end of the line to a tester: calls functions of the program when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from o1coder_gym.sandbox.values.codec import HandleTable, decode, encode
from o1coder_gym.sandbox.zygote.program import describe, find_entry

_MESSAGE_CHARS = 1000


class Service:
    """A loaded program that can be called by name."""

    def __init__(self, namespace: dict[str, Any], entry_point: str) -> None:
        """Offers a program.

        Args:
            namespace: What the program defines.
            entry_point: The function under test; empty for none.

        Raises:
            NameError: When the program does not define it.
        """
        self._namespace = namespace
        self._entries = {entry_point: find_entry(namespace, entry_point)} if entry_point else {}
        self._handles = HandleTable()

    def answer(self, question: Sequence[bytes]) -> Sequence[bytes]:
        """Calls a function.

        Args:
            question: Its name, then the encoded positional and keyword arguments.

        Returns:
            ``v``, the encoded result and, after a call that returned None, the arguments as they are now;
            or ``e``, the names of the exception's classes, its message, and one line on it.
        """
        name, args, kwargs = question
        try:
            values = decode(args.decode(), self._handles)
            named = decode(kwargs.decode(), self._handles) if kwargs else {}
            result = self._function(name.decode())(*values, **named)
            changed = (encode(values, self._handles).encode(),) if result is None and values else ()
            return (b"v", encode(result, self._handles).encode(), *changed)
        except BaseException as error:
            classes = " ".join(base.__name__ for base in type(error).__mro__)
            return (b"e", classes.encode("utf-8", "replace"), _message(error), describe(error))

    def _function(self, name: str) -> Any:
        """Returns the entry point, or whatever else the program calls `name`."""
        return self._entries[name] if name in self._entries else self._namespace[name]


def _message(error: BaseException) -> bytes:
    """Returns the bounded message of an exception."""
    try:
        return str(error)[:_MESSAGE_CHARS].encode("utf-8", "backslashreplace")
    except BaseException:  # the message of a foreign exception is foreign code
        return b""
