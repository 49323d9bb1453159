"""Splits by problem: all rows made from one problem are in one split, the same in every data set."""

from __future__ import annotations

import hashlib

SPLITS = ("train", "validation")


def split_of(task_id: str, validation: float) -> str:
    """Returns the split of a problem, the same in every data set of whatever seed.

    Args:
        task_id: The problem.
        validation: Share of all problems that are in the validation split, in [0, 1).
    """
    digest = hashlib.sha256(task_id.encode()).digest()
    return "validation" if int.from_bytes(digest[:8], "big") < validation * 2**64 else "train"
