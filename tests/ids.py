"""Names of parametrised cases."""

import re


def without_address(value: object) -> str:
    """Says a value without its address, which differs from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
