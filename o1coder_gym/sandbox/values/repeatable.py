"""Decides which whole programs may run several tests in one process, one after the other.

A run leaves its process as it found it if the program keeps to its own names and to standard streams. That
is read off its text, and in doubt denied: then each test has a process of its own, for about a millisecond.
"""

from __future__ import annotations

import re
from functools import lru_cache

_MODULES = set(
    """
    __future__ abc array bisect cmath collections collections.abc copy dataclasses datetime decimal enum
    fractions functools heapq io itertools json math numbers numpy operator os random re statistics string
    sys textwrap time types typing unicodedata
    """.split()  # noqa: SIM905 - as a list it is a page
)
"""Modules that keep nothing of a program, unless it says one of the words below."""
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b[ \t]*(\([^)]{0,2000}\)|[^\n;]*)|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
_IMPORTS = re.compile(r"\bimport\b|__import__|importlib")
_LASTING = re.compile(
    r"""\b(?:
    __builtins__|builtins|modules|globals|vars|setattr|delattr|__dict__|exec|(?<!re\.)compile  # names
    |__del__|gc|settrace|setprofile|setswitchinterval|set_int_max_str_digits|\w*hook\w*  # interpreter
    |detach|reconfigure|TextIOWrapper|FileIO|from\s+os|sleep|tzset|getcontext|setcontext|DefaultContext
    |set_printoptions|seterr\w*
    )\b|/dev/|/proc/|\bopen\s*\((?!\s*[01]\b)|\bos\.(?!(?:read|write|fstat|path|linesep|close)\b)""",
    re.VERBOSE,
)
"""What lasts longer than a run of a program."""
_NAME = re.compile(r"\w+")
_STREAM = re.compile(r"\bsys\.(?:stdin|stdout|stderr)\s*=(?!=)")
_SET = re.compile(r"(?<![\w.])(\w+)(?:\.\w+)+[ \t]*(?:[-+*/%@&|^<>]{1,2})?=(?!=)")
"""An attribute that is set; of what was imported it lasts, but for the streams."""


@lru_cache(maxsize=256)
def repeatable(source: bytes, prelude: bytes = b"") -> bool:
    """Returns whether a program surely leaves nothing in its process for another run of it to find."""
    # Standard streams may be replaced: `streams.renew` opens new ones before each run.
    text = _STREAM.sub("", (prelude + b"\n" + source).decode("utf-8", "replace"))
    found = _IMPORT.findall(text)
    # An import that the line pattern does not read (behind a colon, in a string, by `__import__`) is a
    # doubt, and doubt means a process of its own.
    if len(found) != len(_IMPORTS.findall(text)) or _LASTING.search(text):
        return False
    if "numpy" in text and "random" in text:  # its stream of numbers would go on; that of random is renewed
        return False
    imports = [
        name.split() for one, _, several in found for name in (several.split(",") if several else [one])
    ]
    # What an import binds: setting an attribute of it would last, as `sys.maxsize = 1` does.
    bound = {name for words in imports for name in (words[0].partition(".")[0], words[-1]) if words}
    bound.update(name for _, names, _ in found for name in _NAME.findall(names))
    modules = {words[0] for words in imports if words}
    return modules <= _MODULES and bound.isdisjoint(_SET.findall(text))
