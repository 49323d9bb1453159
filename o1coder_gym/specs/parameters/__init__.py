"""Parameters: what a function or a dataclass takes by name, and how their values are written and read."""

from o1coder_gym.specs.parameters.ranges import (
    AtLeastOne,
    Count,
    Meaning,
    NonNegative,
    Positive,
    Range,
    Share,
)
from o1coder_gym.specs.parameters.signatures import (
    NO_HINTS,
    REQUIRED,
    Arguments,
    Hints,
    Parameter,
    bind,
    check_fields,
    field_parameters,
    parameters,
)

__all__ = [
    "NO_HINTS",
    "REQUIRED",
    "Arguments",
    "AtLeastOne",
    "Count",
    "Hints",
    "Meaning",
    "NonNegative",
    "Parameter",
    "Positive",
    "Range",
    "Share",
    "bind",
    "check_fields",
    "field_parameters",
    "parameters",
]
