#!/usr/bin/env bash
# lm-eval 0.4.13, tasks mbpp_instruct and mbpp_plus_instruct (utils.build_predictions, the filter extract_code)
#
# Seen: the prompt ends in an opened fence ("```python"), so a model answers with the program itself and closes the
# fence. The filter puts a bare fence before the answer and takes its first word for the language: "def f(x): …" becomes
# " f(x): …", which does not compile. An answer that brings a whole fence of its own is read as empty, one that does
# not close the fence too. What survives is a program that begins with a line break.
# And the target of mbpp_plus_instruct is the one assert that the prompt shows, so a program that returns its
# constant passes.
# Guessed: the program of each of these answers is what is graded, by tests beside the one that is shown.
# Who cares: whoever compares instruct models on MBPP or MBPP+ with this harness. A model is graded by how it spaces
# its first line; tasks are lost that EvalPlus counts as solved, and constants count as programs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps lm-eval==0.4.13 pyyaml==6.0.3
cat > "$folder/cut.py" <<'P'
import importlib.util
import sys
import types
from pathlib import Path

import yaml

# the task's file loads a metric from the Hub before anything else; here nothing is executed, so none is needed
evaluate = types.ModuleType("evaluate")
evaluate.load = lambda name: types.SimpleNamespace(compute=lambda **_: None)
sys.modules["evaluate"] = evaluate
(folder,) = [path / "lm_eval/tasks/mbpp" for path in map(Path, sys.path) if (path / "lm_eval/tasks/mbpp").is_dir()]
spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

PROGRAM = "def f(x):\n    return x"
ANSWERS = {
    "the program, fence closed": PROGRAM + "\n```",
    "with an import before it": "import math\n" + PROGRAM + "\n```",
    "the program, not closed": PROGRAM + "\n",
    "in a fence of its own": "```python\n" + PROGRAM + "\n```",
    "a line break before it": "\n" + PROGRAM + "\n```",
}


def compiles(code):
    try:
        compile(code, "answer", "exec")
    except SyntaxError:
        return "no"
    return "yes" if code.strip() else "empty"


for name, answer in ANSWERS.items():
    ((code,),) = utils.build_predictions([[answer]], [{}])
    print(f"{name:26} → {code!r:42} compiles: {compiles(code)}")
task = yaml.safe_load((folder / "mbpp_plus_instruct.yaml").read_text())
print("shown  :", task["doc_to_text"].splitlines()[-1])
print("graded :", task["doc_to_target"])
P
cat > "$folder/expected" <<'T'
the program, fence closed  → ' f(x):\n    return x'                     compiles: no
with an import before it   → ' math\ndef f(x):\n    return x'           compiles: no
the program, not closed    → ''                                         compiles: empty
in a fence of its own      → ''                                         compiles: empty
a line break before it     → 'def f(x):\n    return x'                  compiles: yes
shown  : {{test_list[0]}}
graded : {{test_list[0]}}
T
"$folder/venv/bin/python" "$folder/cut.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
