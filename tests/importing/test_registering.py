"""The environments are registered whichever package is imported first, and the package imports little."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports",
    [
        "import o1coder_gym, gymnasium",
        "import gymnasium, o1coder_gym",
        "from o1coder_gym import envs; import gymnasium",
        "import o1coder_gym; o1coder_gym.envs.ENVS; import gymnasium",
        "import o1coder_gym.envs.env; import gymnasium",
        "import o1coder_gym.errors; from gymnasium.envs import registration; import gymnasium",
    ],
)
def test_either_may_be_imported_first(imports: str, tmp_path: Path) -> None:
    program = f"{imports}; print(gymnasium.make('O1Coder/Starter-v0').spec.id)"
    assert run(program, tmp_path) == "O1Coder/Starter-v0"


def test_gymnasium_alone_imports_the_package_that_an_id_names(tmp_path: Path) -> None:
    program = "import gymnasium; print(gymnasium.make('o1coder_gym:O1Coder/Starter-v0').spec.id)"
    assert run(program, tmp_path) == "O1Coder/Starter-v0"


def test_the_package_alone_imports_neither_gymnasium_nor_numpy(tmp_path: Path) -> None:
    program = "import sys, o1coder_gym; print(sorted({'gymnasium', 'numpy', 'rich'} & set(sys.modules)))"
    assert run(program, tmp_path) == "[]"


def test_what_there_is_not_is_an_attribute_error(tmp_path: Path) -> None:
    assert run("import o1coder_gym; print(hasattr(o1coder_gym, 'nothing'))", tmp_path) == "False"
