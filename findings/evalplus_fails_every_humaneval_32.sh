#!/usr/bin/env bash
# evalplus 0.3.1, evalplus.eval.untrusted_check, which decides every base and plus result of HumanEval
#
# Seen: for the entry point find_zero (HumanEval/32) the answer is checked by the value of the polynomial, and the loop
# goes on with the next input before it has noted that this one passed. No input is ever noted, so at the end "all
# inputs passed" does not hold: the result is "fail" for every program, the dataset's own reference among them. A
# comment on the change that brought it (evalplus/evalplus, pull request 201) says so; the newest release has it.
# Guessed: a right find_zero passes, as it does by the `check` function of the original HumanEval.
# Who cares: whoever compares pass rates. With this release no model can solve more than 163 of 164 problems, and
# results of releases before and after the change differ by one problem that no model has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps evalplus==0.3.1 numpy==2.4.6 psutil==7.2.2 appdirs==1.4.4 tempdir==0.7.1 \
    multipledispatch==1.0.0 wget==3.2 tqdm==4.70.1 termcolor==3.3.0
cat > "$folder/zero.py" <<'P'
from evalplus.eval import untrusted_check

RIGHT = """
def find_zero(xs):
    low, high = -1000.0, 1000.0
    value = lambda x: sum(factor * x**power for power, factor in enumerate(xs))
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if (value(low) < 0) != (value(middle) < 0) else (middle, high)
    return low
"""
OTHER = RIGHT.replace("find_zero", "root")
INPUTS = [[[2.0, 1.0]], [[-3.0, 1.0]]]  # 2 + x, -3 + x
for name, code in (("find_zero", RIGHT), ("root", OTHER)):
    said, details = untrusted_check("humaneval", code, INPUTS, name, [-2.0, 3.0], 1e-4, [1.0, 1.0])
    print(f"{name:9} → {said}, inputs noted as passed: {len(details)} of 2")
P
cat > "$folder/expected" <<'T'
find_zero → fail, inputs noted as passed: 0 of 2
root      → pass, inputs noted as passed: 2 of 2
T
"$folder/venv/bin/python" "$folder/zero.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
