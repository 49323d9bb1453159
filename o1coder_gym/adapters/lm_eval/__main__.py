"""lm-eval's command line with this project's judge and tasks."""

# pyright: reportCallIssue=false
# (where lm-eval is not installed this folder is taken for it)

import os
import sys

from lm_eval.__main__ import cli_evaluate  # pyright: ignore[reportMissingImports]

from o1coder_gym.adapters.lm_eval import TASKS, use_for_code_eval

if __name__ == "__main__":
    os.environ.setdefault("HF_ALLOW_CODE_EVAL", "1")  # what it guards against does not happen here
    use_for_code_eval()
    if "--include_path" not in sys.argv:
        sys.argv += ["--include_path", str(TASKS)]
    cli_evaluate()
