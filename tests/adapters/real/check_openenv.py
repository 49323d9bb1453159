"""OpenEnv 0.10: our server, its client, a hundred sessions at once, its reading of our manifest."""

import asyncio
import gc
import resource
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from openenv.core.generic_client import GenericEnvClient
from openenv.validation.parsers.openenv_yaml import OpenEnvYamlParser
from pairs import pairs
from websockets.exceptions import ConnectionClosed

from o1coder_gym.adapters import openenv
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.types import Problem


def started():
    """Starts our server in a thread; returns its address."""
    server = uvicorn.Server(uvicorn.Config(openenv.app(), port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def play_all(url, programs):
    """Plays an episode per program, a hundred at once; returns how they ended."""

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

    return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def url():
    return started()


def test_many_sessions_get_what_the_process_pays(url):
    programs = pairs()
    model = ReasoningModel({one.task_id: one for one, _ in programs}.values(), shared_judge())
    results = play_all(url, programs)
    expected = []
    for problem, code in programs:
        state = model.initial(problem.task_id)
        (plan,) = model.advance([(state, "### Step 1 (define)\nThink.\n")])
        (end,) = model.advance([(plan.state, f"### Step 2 (code)\n```python\n{code}\n```\n")])
        expected.append(end.reward)
    assert [result.reward for result in results] == expected
    assert all(result.done for result in results)


def test_what_is_too_large_and_who_hangs_up_leave_nothing_behind(url):
    async def play():
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(seed=0)
            with pytest.raises((ConnectionClosed, ConnectionError)):
                await env.step({"text": "x" * (100 << 20)})
        for _ in range(20):
            env = GenericEnvClient(base_url=url)
            await env.connect()
            await env.reset(seed=0)
            env._ws.transport.abort()
        async with GenericEnvClient(base_url=url) as env:
            await env._send(
                {"type": "step", "data": {"words": "x"}}
            )  # its client does not pass on which field
            assert (await env._receive())["data"]["errors"][0]["loc"] == ["text"]
            assert (await env.reset(seed=0)).observation["question"]

    asyncio.run(play())
    assert not left_over()


def test_a_thousand_sessions_at_once_are_served(url):
    async def play(seed):
        async with GenericEnvClient(base_url=url, connect_timeout_s=120, message_timeout_s=120) as env:
            return (await env.reset(seed=seed)).observation["question"]

    async def all_of_them():
        return await asyncio.gather(*map(play, range(1000)))

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    threads = threading.active_count()
    assert all(asyncio.run(all_of_them()))
    assert not left_over()
    assert threading.active_count() <= threads + 64  # those of the server's own pool stay


def left_over():
    """Environments that are still held after a while."""
    deadline = time.monotonic() + 60
    while (held := sessions()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def sessions():
    """Environments that are still held; by their type alone, since a dead proxy has no class."""
    return sum(type(found) is openenv.O1CoderEnvironment for found in gc.get_objects())


def test_mistakes_are_told(url):
    async def play():
        async with GenericEnvClient(base_url=url) as env:
            with pytest.raises(RuntimeError, match="reset first"):
                await env.step({"text": "x"})
            with pytest.raises(RuntimeError, match="unknown task 'nope'"):
                await env.reset(task_id="nope")
            with pytest.raises(RuntimeError, match="unknown argument of reset 'task'"):
                await env.reset(task="starter/006-count-even")
            with pytest.raises(RuntimeError, match="field 'task_id'"):
                await env.reset(task_id=7)
            with pytest.raises(RuntimeError, match="field 'seed'"):
                await env.reset(seed={})
            first = await env.reset(seed=3)
            again = await env.reset(seed=3)
            assert first.observation["question"] == again.observation["question"]
            state = await env.state()
            assert (state["step_count"], state["outcome"]) == (0, None)

    asyncio.run(play())


def test_a_masked_step_has_no_reward():
    model = ReasoningModel([Problem("bare", "?", "f")], shared_judge())
    env = openenv.O1CoderEnvironment(model)
    env.reset(task_id="bare")
    found = env.step(openenv.StepAction(text="### Step 1 (code)\n```python\ndef f(): ...\n```\n"))
    assert (found.done, found.reward, found.metadata["masked"]) == (True, None, True)


def test_its_validator_reads_our_manifest():
    manifest = OpenEnvYamlParser().parse(Path(openenv.__file__).parent)
    assert (manifest.name, manifest.reward.range) == ("o1coder", (0.0, 1.0))
