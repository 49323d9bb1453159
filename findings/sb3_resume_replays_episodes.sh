#!/usr/bin/env bash
# stable-baselines3 2.9.2, PPO.load(path, env=env) followed by learn(reset_num_timesteps=False)
#
# Seen: loading seeds the environments that are handed over with the seed that was saved with the algorithm, also when
# they were made with another one. The resumed run then plays the very episodes of the first run's beginning, in the
# same order; going on in one process plays new ones.
# Guessed: a run that goes on draws new episodes, at least in environments that the caller has seeded anew.
# Who cares: whoever trains in pieces (preemptible machines, a laptop overnight) on environments that draw a task at
# reset. Every piece trains on the same few tasks; the curve looks like learning and is memory of the first rollout.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 stable-baselines3==2.9.2 gymnasium==1.4.0 numpy==2.4.6
cat > "$folder/resume.py" <<'P'
import sys

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

TASKS = []


class Tasks(gym.Env):
    """Draws one of a million tasks at each reset; an episode is one step."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        TASKS.append(int(self.np_random.integers(1_000_000)))
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, True, False, {}


def learned(ppo):
    TASKS.clear()
    ppo.learn(8, reset_num_timesteps=False)
    return TASKS[-9:-1]


first = PPO("MlpPolicy", make_vec_env(Tasks, 1, seed=0), n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu")
begun = learned(first)
first.save(sys.argv[1])
print("tasks of the beginning that come again, of 8")
print("  going on in one process           :", len(set(begun) & set(learned(first))))
for seed in (0, 123):
    resumed = PPO.load(sys.argv[1], env=make_vec_env(Tasks, 1, seed=seed))
    print(f"  loaded, environment of seed {seed:3}   :", len(set(begun) & set(learned(resumed))))
P
cat > "$folder/expected" <<'T'
tasks of the beginning that come again, of 8
  going on in one process           : 0
  loaded, environment of seed   0   : 8
  loaded, environment of seed 123   : 8
T
"$folder/venv/bin/python" "$folder/resume.py" "$folder/ppo.zip" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
