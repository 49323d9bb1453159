"""Runs untrusted programs, each in a confined process, and judges them; see docs/security.md.

Covered: programs that try to fake a verdict, to read what they should not, to outlive their run, to
harm the machine or to starve the judge. Not covered: bugs of the kernel, side channels, and whatever
`SandboxReport` says that this machine cannot give. That suffices for training and evaluation on programs
written by models; it does not for running a stranger's code as a public service.
"""

from o1coder_gym.sandbox.callers.concurrent_judge import ConcurrentJudge
from o1coder_gym.sandbox.callers.judge_pool import JudgePool, shared_judge
from o1coder_gym.sandbox.judge import Judge, default_judge
from o1coder_gym.sandbox.report import SandboxReport, SandboxWarning

__all__ = [
    "ConcurrentJudge",
    "Judge",
    "JudgePool",
    "SandboxReport",
    "SandboxWarning",
    "default_judge",
    "shared_judge",
]
