"""verl's reward manager, AReaL's wrapper and Atropos' registry, with our reward functions inside."""

import asyncio
import json
import math
from pathlib import Path

import numpy as np
import pytest
from pairs import answer, pairs, rewards

import o1coder_gym
from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row
from o1coder_gym.adapters.reward_functions import areal_reward, atropos_reward

CONFIGURATION = """
reward:
  custom_reward_function:
    path: pkg://o1coder_gym.adapters.reward_functions
    name: compute_score
"""


def truth(problem):
    return json.dumps(ground_truth_row(ground_truth_of(problem)))


def test_verl_trains_with_five_lines_of_configuration():
    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict
    from transformers import AutoTokenizer
    from verl import DataProto
    from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
    from verl.trainer.ppo.reward import get_custom_reward_fn

    config = OmegaConf.create(CONFIGURATION)
    tokenizer = AutoTokenizer.from_pretrained(Path(o1coder_gym.__file__).parent / "data" / "tiny")
    manager = NaiveRewardManager(config, tokenizer, get_custom_reward_fn(config))

    def batch(problem, code):
        ids = torch.tensor([tokenizer.encode(answer(code), add_special_tokens=False)])
        tensors = TensorDict({"responses": ids, "attention_mask": torch.ones_like(ids)}, batch_size=1)
        return DataProto(
            batch=tensors,
            non_tensor_batch={
                "data_source": np.array(["o1coder"], dtype=object),
                "reward_model": np.array([{"ground_truth": truth(problem)}], dtype=object),
                "extra_info": np.array([{}], dtype=object),
            },
        )

    async def all_of_them(programs):
        return await asyncio.gather(*(manager.run_single(batch(*one)) for one in programs))

    programs = pairs()
    found = manager.loop.run_until_complete(all_of_them(programs))
    assert [one["reward_score"] for one in found] == rewards(programs)
    assert {one["reward_extra_info"]["masked"] for one in found} == {0.0}


def test_verls_own_sandbox_client_takes_our_service_for_sandbox_fusion():
    import threading
    import time

    import uvicorn
    from verl.utils.reward_score.sandbox_fusion import compute_score

    from o1coder_gym.adapters.judge_service import judge_app

    server = uvicorn.Server(uvicorn.Config(judge_app(), port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url, semaphore = f"http://127.0.0.1:{port}/run_code", threading.Semaphore(4)
    calls = {"inputs": ["2", "5"], "outputs": ["4", "10"], "fn_name": "double"}
    streams = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
    asked = [
        (calls, "def double(x):\n    return 2 * x", 1.0),
        (calls, "def double(x):\n    return 4", 0.5),
        (calls, "def double(x", 0.0),
        (streams, "print(sum(map(int, input().split())))", 1.0),
        (streams, "raise ValueError", 0.0),
        ({"assert_case": ["assert f(1) == 2"]}, "def f(x):\n    return x + 1", 1.0),
        ({"assert_case": ["assert f(1) == 2"]}, "def f(x):\n    return x", 0.0),
    ]
    for cases, code, reward in asked:
        score, _ = compute_score(url, semaphore, 512, answer(code), dict(cases), continuous=True)
        assert score == reward, code
    server.should_exit = True


def test_areal_awaits_our_reward():
    areal = pytest.importorskip("areal.api.reward_api", exc_type=ImportError)
    wrapped = areal.AsyncRewardWrapper(areal_reward, max_workers=2, max_retries=0, timeout_seconds=120)
    programs = pairs()

    async def all_of_them():
        asked = (wrapped("", answer(code), [], [], ground_truth=truth(one)) for one, code in programs)
        return await asyncio.gather(*asked)

    assert asyncio.run(all_of_them()) == rewards(programs)


def test_atropos_registers_our_reward():
    from atroposlib.envs.reward_fns.registry import registry

    registry.register_function("o1coder", atropos_reward)
    programs = pairs()
    reward = registry.create("o1coder")
    found = reward([answer(code) for _, code in programs], ground_truth=[truth(one) for one, _ in programs])
    assert list(found) == rewards(programs)
    (masked,) = reward([answer("def f(): ...")], ground_truth=[json.dumps({"tests": [], "entry_point": "f"})])
    assert math.isnan(masked)
