"""Search trees as other projects' traces: ATIF, verifiers, verl; read back without loss.

Each root-to-leaf path is a trajectory. Of a step they say which node of the tree it is, N, W and the
advantage A = v(node) − v(parent). The tree itself travels along once, as its own row, for `read_trees`.
"""

from o1coder_gym.adapters.traces.export import FORMATS, export_traces, read_trees

__all__ = ["FORMATS", "export_traces", "read_trees"]
