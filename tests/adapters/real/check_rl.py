"""The RL libraries of docs/rl_libraries.md that are not installed for `make test`."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "rl_libraries.md"


def test_torchrl_trains_on_choices(capsys):
    (block,) = re.findall(r"^```{code-block} python\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    names = {"__name__": "torchrl"}
    exec(compile(block, "rl_libraries.md, TorchRL", "exec"), names)
    assert len(block.splitlines()) <= 40
    assert names["loss"].isfinite()
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["update 0", "update 1"]
