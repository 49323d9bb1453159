#!/usr/bin/env bash
# gymnasium 1.4.0, AsyncVectorEnv(shared_memory=False), default autoreset (NEXT_STEP)
#
# Seen: when all episodes have just ended and the caller resets the vector explicitly, the next step is still
# treated as the reset that was due: every environment is reset again, the action is thrown away, the reward is 0 and
# the observation is the first one. With shared memory, and with SyncVectorEnv, the action is taken.
# Guessed: an explicit reset settles what is due, whatever carries the observations; the three vectors are documented
# as the same process.
# Who cares: text observations cannot live in shared memory, so language-model environments use exactly this
# vector. Evaluation loops that reset between rounds lose the first action of every round, silently: step counts,
# budgets and logged actions no longer belong to what the environment did.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gymnasium==1.4.0 numpy==2.3.5
cat > "$folder/count.py" <<'P'
import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv


class Count(gym.Env):
    """Observes how many steps the episode has had; it ends with the third."""

    observation_space = gym.spaces.Box(0, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.full(1, self.steps, np.float32), 1.0, self.steps == 3, False, {}


def after_explicit_reset(vector):
    vector.reset(seed=0)
    for _ in range(3):
        vector.step(np.zeros(2, int))
    vector.reset()
    observation, reward, *_ = vector.step(np.zeros(2, int))
    vector.close()
    return f"observation {observation[0, 0]:.0f}, reward {reward[0]:.0f}"


if __name__ == "__main__":
    print("SyncVectorEnv                        :", after_explicit_reset(SyncVectorEnv([Count] * 2)))
    print("AsyncVectorEnv, shared memory        :", after_explicit_reset(AsyncVectorEnv([Count] * 2)))
    print("AsyncVectorEnv, shared_memory=False  :", after_explicit_reset(AsyncVectorEnv([Count] * 2, shared_memory=False)))
P
cat > "$folder/expected" <<'T'
SyncVectorEnv                        : observation 1, reward 1
AsyncVectorEnv, shared memory        : observation 1, reward 1
AsyncVectorEnv, shared_memory=False  : observation 0, reward 0
T
"$folder/venv/bin/python" "$folder/count.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
