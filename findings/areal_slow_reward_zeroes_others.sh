#!/usr/bin/env bash
# areal 1.0.4, areal.api.reward_api.AsyncRewardWrapper
#
# Seen: a reward that takes longer than timeout_seconds is answered with 0, and its worker process goes on with it. The
# rewards of other answers wait behind it in the same few processes while their own time-outs run, and are answered with 0
# too, though they would take no time. Nothing is raised; a warning is logged, and the episodes are accepted.
# Guessed: the time-out counts from when a reward is begun, or a timed-out worker is replaced; at least, an answer
# that was never scored is rejected, as an episode whose reward raises is.
# Who cares: whoever trains on programs with this. One slow answer per worker (the default is one worker on machines of up
# to 31 cores and eight GPUs) turns right answers of the whole batch into failures that are learned from.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps areal==1.0.4
cat > "$folder/rewards.py" <<'P'
import asyncio
import importlib.util
import logging
import sys
import time
import types
from pathlib import Path

# the package's own logging is all that this file needs of it
quiet = types.ModuleType("areal.utils")
quiet.logging = types.SimpleNamespace(getLogger=lambda name: logging.getLogger("none"))
logging.getLogger("none").disabled = True
sys.modules.update({"areal": types.ModuleType("areal"), "areal.utils": quiet})
(file,) = [path / "areal/api/reward_api.py" for path in map(Path, sys.path) if (path / "areal/api/reward_api.py").exists()]
spec = importlib.util.spec_from_file_location("reward_api", file)
api = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api)


def reward(prompt, completions, prompt_ids, completion_ids, **columns):
    time.sleep(8 if completions == "slow" else 0)
    return 1.0


async def scored(*answers):
    wrapper = api.AsyncRewardWrapper(reward, timeout_seconds=2, max_workers=1, max_retries=1)
    return await asyncio.gather(*(wrapper("", answer, [], []) for answer in answers))


if __name__ == "__main__":
    print("right, right, right          :", asyncio.run(scored("right", "right", "right")), flush=True)
    print("slow, right, right, right    :", asyncio.run(scored("slow", "right", "right", "right")), flush=True)
    for executor in api.AsyncRewardWrapper._executors.values():
        for process in executor._processes.values():
            process.kill()
P
cat > "$folder/expected" <<'T'
right, right, right          : [1.0, 1.0, 1.0]
slow, right, right, right    : [0, 0, 0, 0]
T
"$folder/venv/bin/python" "$folder/rewards.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
