"""``python -m o1coder_gym``: the command line."""

import sys

from o1coder_gym.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
