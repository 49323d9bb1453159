"""The judge over HTTP: this project's ``/judge`` with a verdict per test, and SandboxFusion's endpoints.

    uvicorn --factory o1coder_gym.adapters.judge_service:judge_app --port 8080

Whoever is not on this machine has to bring the key (``O1CODER_API_KEY``), as ``Authorization: Bearer …`` or,
for clients that send no headers, in the address: ``http://host:8080/run_code?token=…``.
"""

from o1coder_gym.adapters.judge_service.app import JudgeBounds, judge_app

__all__ = ["JudgeBounds", "judge_app"]
