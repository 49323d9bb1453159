"""D_process: what finished searches teach. One schema, written by harvest, read by every trainer."""

from o1coder_gym.process_data.dataset import ProcessData, merged
from o1coder_gym.process_data.labels import LabelRule, PairRule
from o1coder_gym.process_data.rows import SCHEMA, PairRow, PathRow, PrefixRow
from o1coder_gym.process_data.store import read_data, write_data

__all__ = [
    "SCHEMA",
    "LabelRule",
    "PairRow",
    "PairRule",
    "PathRow",
    "PrefixRow",
    "ProcessData",
    "merged",
    "read_data",
    "write_data",
]
