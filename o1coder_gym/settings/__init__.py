"""Settings: frozen dataclasses that the command line, a file and Python fill alike.

A field is documented once, in the ``Attributes:`` of its class; its type has its range, as in
``Annotated[int, Range(1)]``. Help texts, checks, error messages, printed files and the reference of all
commands are read from there. A field that is a settings class itself is a group: a heading of the help, a
section of a file; its flags stay flat.
"""

from o1coder_gym.settings.fields import (
    FILE_ONLY,
    Checked,
    Flag,
    Heading,
    Hint,
    Section,
    Setting,
    Without,
    all_settings,
    to_row,
    with_run,
)
from o1coder_gym.settings.reading import parse_words, read, read_each
from o1coder_gym.settings.writing import shown, to_toml
from o1coder_gym.specs.parameters import AtLeastOne, Count, NonNegative, Positive, Range, Share, check_fields

__all__ = [
    "FILE_ONLY",
    "AtLeastOne",
    "Checked",
    "Count",
    "Flag",
    "Heading",
    "Hint",
    "NonNegative",
    "Positive",
    "Range",
    "Section",
    "Setting",
    "Share",
    "Without",
    "all_settings",
    "check_fields",
    "parse_words",
    "read",
    "read_each",
    "shown",
    "to_row",
    "to_toml",
    "with_run",
]
