"""OpenEnv 0.10: our server, its client, a hundred sessions at once, its reading of our manifest."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from openenv.core.generic_client import GenericEnvClient
from openenv.validation.parsers.openenv_yaml import OpenEnvYamlParser
from pairs import pairs

from o1coder_gym.adapters import openenv
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.sandbox import shared_judge


@pytest.fixture(scope="module")
def url():
    server = uvicorn.Server(uvicorn.Config(openenv.app(), port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True


def test_many_sessions_get_what_the_process_pays(url):
    programs = pairs()
    model = ReasoningModel({one.task_id: one for one, _ in programs}.values(), shared_judge())

    async def play(problem, code):
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(task_id=problem.task_id)
            await env.step({"text": "### Step 1 (define)\nThink.\n"})
            return await env.step({"text": f"### Step 2 (code)\n```python\n{code}\n```\n"})

    async def all_of_them():
        found = []
        for start in range(0, len(programs), 100):
            found += await asyncio.gather(*(play(*one) for one in programs[start : start + 100]))
        return found

    results = asyncio.run(all_of_them())
    expected = []
    for problem, code in programs:
        state = model.initial(problem.task_id)
        (plan,) = model.advance([(state, "### Step 1 (define)\nThink.\n")])
        (end,) = model.advance([(plan.state, f"### Step 2 (code)\n```python\n{code}\n```\n")])
        expected.append(end.reward)
    assert [result.reward for result in results] == expected
    assert all(result.done for result in results)


def test_mistakes_are_told(url):
    async def play():
        async with GenericEnvClient(base_url=url) as env:
            with pytest.raises(RuntimeError, match="reset first"):
                await env.step({"text": "x"})
            with pytest.raises(RuntimeError, match="unknown task 'nope'"):
                await env.reset(task_id="nope")
            with pytest.raises(RuntimeError, match="unknown argument of reset 'task'"):
                await env.reset(task="starter/006-count-even")
            first = await env.reset(seed=3)
            again = await env.reset(seed=3)
            assert first.observation["question"] == again.observation["question"]
            state = await env.state()
            assert (state["step_count"], state["outcome"]) == (0, None)

    asyncio.run(play())


def test_its_validator_reads_our_manifest():
    manifest = OpenEnvYamlParser().parse(Path(openenv.__file__).parent)
    assert (manifest.name, manifest.reward.range) == ("o1coder", (0.0, 1.0))
