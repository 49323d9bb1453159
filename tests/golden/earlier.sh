#!/usr/bin/env bash
# make.sh BIN FOLDER: run folders as the version of BIN (a folder with o1coder and python) writes them, in small.
set -euo pipefail
bin=$1
mkdir -p "$2" && cd "$2"
"$bin/python" - <<'P'
import json
from pathlib import Path

from o1coder_gym.problems import load_problems

plan = {"type": "define", "text": "count the words whose first letter is a vowel"}
plans = [plan, {"type": "define", "text": "split the text"}, {"type": "define", "text": "look at first letters"}]
wrong = {"type": "code", "text": "def count_vowel_words(text):\n    return 0"}
right = {
    "type": "code",
    "text": "def count_vowel_words(text):\n    return sum(word[0] in 'aeiouAEIOU' for word in text.split())",
}
lost = {"type": "code", "text": "def answer(*values):\n    return values"}
script = {"problems": {"starter/001-vowel-words": {"depths": [plans, [right, right, wrong]]}, "*": {"depths": [[plan, lost]]}}}
Path("script.json").write_text(json.dumps(script))
P
"$bin/o1coder" bench --problems starter --limit 4 --policy scripted:script.json --agent best_of_n --agent mcts:simulations=12 \
  --agent beam --tokens 64,256 --seeds 2 --out bench
"$bin/o1coder" bench compare bench --json > bench_compare.json
"$bin/o1coder" synthesize --problems starter --limit 4 --policy scripted:script.json --agent mcts:simulations=12 --tests 2 \
  --validation 0.0 --out data
"$bin/o1coder" rl choice --problems starter --policy scripted:script.json --k 2 --max-steps 3 --steps 32 --num-envs 2 \
  --rollout 8 --episodes 4 --out choice
"$bin/python" - <<'P'
from pathlib import Path

from o1coder_gym.micro.tiny_model import TinySettings, train_tiny_model

train_tiny_model(Path("model"), TinySettings(layers=1, width=16, heads=2, vocabulary=300, traces=8, steps=1, batch_size=2))
P
"$bin/o1coder" sft --data data --model model --lora-rank 2 --max-steps 4 --save-steps 2 --batch 2 --rows-at-once 1 --out sft
"$bin/o1coder" prm train --data data --model model --lora-rank 2 --max-steps 4 --save-steps 2 --batch 2 --rows-at-once 1 --out prm
