"""TRL: its own command on our rows; AsyncGRPO on a CPU, its requests answered by a script."""

import itertools
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.chat_template_utils import add_response_schema, qwen3_chat_template
from trl.experimental.async_grpo import (
    AsyncGRPOConfig,
    AsyncGRPOTrainer,
    async_grpo_trainer,
    async_rollout_worker,
    packing,
)

import o1coder_gym
from o1coder_gym.envs.trl import O1CoderSpec
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Step

BIN = Path(sys.executable).parent
TINY = Path(o1coder_gym.__file__).parent / "data" / "tiny"


class NoTransfer:
    """Weights stay here: TRL sends them by NCCL, which wants GPUs."""

    def __init__(self):
        self.sent = 0

    def send_weights(self, weights):
        self.sent += sum(1 for _ in weights)

    def init_weight_transfer(self):
        pass

    pause = resume = destroy = init_weight_transfer


class PlainAttention:
    """Stands in for FlashAttention 3, which TRL packs its sequences for and which wants a GPU."""

    @staticmethod
    def flash_attn_varlen_func(query, key, value, queries, keys, *_, softmax_scale, **__):
        """Attends within each sequence, [T, heads, width]; its last query sees all of its keys."""
        key, value = (one.repeat_interleave(query.shape[1] // one.shape[1], 1) for one in (key, value))
        attended = []
        for (first, last), (begin, end) in zip(
            itertools.pairwise(queries.tolist()), itertools.pairwise(keys.tolist()), strict=True
        ):
            seen = torch.ones(last - first, end - begin, dtype=torch.bool).tril(end - begin - last + first)
            parts = (query[first:last], key[begin:end], value[begin:end])
            parts = (part.transpose(0, 1) for part in parts)
            found = scaled_dot_product_attention(*parts, attn_mask=seen, scale=softmax_scale)
            attended.append(found.transpose(0, 1))
        return torch.cat(attended)


class Scripted(BaseHTTPRequestHandler):
    """The part of vLLM's server that TRL's worker asks: token ids in, token ids out."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._tell({"data": [{"id": "tiny", "max_model_len": 2048}]})

    def do_POST(self):
        json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.turn:  # a generator serves one thread at a time
            ids = next(self.server.answers)
        logprobs = {"token_logprobs": [-1.0] * len(ids)}
        self._tell({"choices": [{"token_ids": ids, "logprobs": logprobs, "finish_reason": "stop"}]})

    def _tell(self, body):
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def tokenizer():
    found = AutoTokenizer.from_pretrained(TINY)
    found.chat_template = qwen3_chat_template  # one that knows tools
    return add_response_schema(found)


def answers(tokenizer, task, *, tools):
    """A right program, a wrong one, and so on; as calls of a tool, each followed by a last word."""
    reference = next(row.reference for row in load_rows("starter") if row.problem.task_id == task)
    for code in itertools.cycle([reference, "1 / 0"]):
        step = PSEUDOCODE.render(Step(ActionType.CODE, code), 1)
        call = json.dumps({"name": "step", "arguments": {"action": step}})
        said = [f"<tool_call>\n{call}\n</tool_call>", "Done."] if tools else [step]
        for text in said:
            yield [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]


@pytest.mark.parametrize("tools", [False, True])
def test_asynchronous_grpo_takes_a_step(tmp_path, tokenizer, tools, monkeypatch):
    monkeypatch.setattr(async_grpo_trainer, "get_peak_flops_per_device", lambda *_: 1e12)  # it asks CUDA
    monkeypatch.setattr(async_rollout_worker, "is_vllm_available", lambda *_, **__: True)  # a script answers
    monkeypatch.setattr(packing, "_flash_attn", lambda: PlainAttention)
    spec = O1CoderSpec("starter")
    row = spec.train_dataset[0]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.turn = threading.Lock()
    server.answers = answers(tokenizer, row["task_id"], tools=tools)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = AsyncGRPOConfig(
        output_dir=str(tmp_path),
        vllm_server_base_url=f"http://127.0.0.1:{server.server_address[1]}",
        max_steps=1,
        num_generations=2,
        max_inflight_tasks=1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=1,
        token_budget=-1,
        max_completion_length=512,
        learning_rate=1e-3,
        use_cpu=True,
        model_init_kwargs={"dtype": "float32"},
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        logging_steps=1,
    )
    own = {"environment_factory": spec.rewarding_environment_factory} if tools else {}
    trainer = AsyncGRPOTrainer(
        str(TINY),
        reward_funcs=[] if tools else spec.reward_funcs,
        args=config,
        train_dataset=Dataset.from_list([row]),
        processing_class=tokenizer,
        weight_transfer=NoTransfer(),
        **own,
    )
    trainer.train()
    server.shutdown()
    logged = {name: value for entry in trainer.state.log_history for name, value in entry.items()}
    assert logged["reward"] == pytest.approx(spec_mean(spec, row), abs=0.3), logged
    assert logged["reward_std"] > 0
    before = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).parameters()
    after = trainer.model.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_its_own_command_trains_on_our_rows(tmp_path):
    (tmp_path / "rows").mkdir()
    O1CoderSpec("starter").train_dataset.to_json(tmp_path / "rows" / "train.jsonl")
    words = ["--model_name_or_path", str(TINY), "--dataset_name", "rows", "--output_dir", "out"]
    words += ["--reward_funcs", "o1coder_gym.envs.trl.outcome", "--max_steps", "1", "--num_generations", "2"]
    words += ["--per_device_train_batch_size", "2", "--max_completion_length", "48", "--dtype", "float32"]
    words += ["--use_cpu", "true", "--bf16", "false", "--report_to", "none"]
    command = [f"{BIN}/trl", "grpo", *words]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-4000:]
    assert list((tmp_path / "out").glob("*.safetensors"))


def spec_mean(spec, row):
    """The mean reward of a right and of a wrong program, in process."""
    codes = [
        next(one.reference for one in load_rows("starter") if one.problem.task_id == row["task_id"]),
        "1 / 0",
    ]
    steps = [PSEUDOCODE.render(Step(ActionType.CODE, code), 1) for code in codes]
    paid = spec.episode_reward(steps, task_id=[row["task_id"]] * 2)
    return sum(paid) / 2
