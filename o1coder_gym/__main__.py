"""``python -m o1coder_gym``: the command line."""

from o1coder_gym.cli.main import console

if __name__ == "__main__":
    console()
