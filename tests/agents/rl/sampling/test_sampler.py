"""Batches sampled now or ahead: which weights each comes from, whatever the threads do."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.sampling.actors import Draw, tagged
from o1coder_gym.agents.rl.sampling.sampler import Sampler
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import PolicyError
from o1coder_gym.steps.formats import PSEUDOCODE

pytest.importorskip("trl")

SLOTS = [0, 0, 1, 1]


class Watched:
    """An actor that notes what it is asked for; `versions` are told in place of its own, one a batch."""

    def __init__(self, weights: Path) -> None:
        from o1coder_gym.agents.rl.sampling.hf import HFActor
        from o1coder_gym.models.checkpoints import load_weights

        self.learner, tokenizer = load_weights(weights, "float32")
        self.inner = HFActor(self.learner, tokenizer, PSEUDOCODE)
        self.policy = self.inner.policy
        self.asked: list[Any] = []
        self.versions: list[int] = []
        self.permits = threading.Semaphore(100)

    def refresh(self, learner: Any, version: int) -> None:
        self.asked.append(version)
        self.inner.refresh(learner, version)

    def sample(self, draw: Draw) -> Any:
        self.permits.acquire()
        self.asked.append("batch")
        episodes = self.inner.sample(draw)
        return tagged(episodes, self.versions.pop(0)) if self.versions else episodes

    def close(self) -> None:
        self.asked.append("close")


@pytest.fixture
def watched(weights: Path) -> Watched:
    return Watched(weights)


def sampler_of(watched: Watched, process: Any, settings: RLSettings, staleness: int) -> Sampler:
    settings = replace(settings, updates=6, iterations=2, staleness=staleness, importance_cap=2.0)
    return Sampler(settings, process, process.task_ids, watched)


@pytest.mark.parametrize(
    ("staleness", "versions"),
    [
        (0, [0, 1, 2, 3, 4, 5]),
        (1, [0, 0, 1, 2, 3, 4]),
        (2, [0, 0, 0, 2, 2, 4]),
        (3, [0, 0, 0, 0, 3, 3]),
    ],
)
def test_a_batch_is_at_most_so_many_versions_behind(
    watched: Watched, process: Any, settings: RLSettings, staleness: int, versions: list[int]
) -> None:
    sampler = sampler_of(watched, process, settings, staleness)
    rounds = [sampler.sample(SLOTS, 2 * batch, watched.learner, 0) for batch in range(6)]
    assert [{one.version for one in found.episodes} for found in rounds] == [{one} for one in versions]
    assert watched.asked.count("batch") == 6  # none beyond the last update
    # with equal weights the same episodes, whoever waits for whom
    plain = sampler_of(Watched(watched.learner.name_or_path), process, settings, 0)
    for batch, found in enumerate(rounds):
        again = plain.sample(SLOTS, 2 * batch, watched.learner, 0)
        assert [one.proposals for one in found.episodes] == [one.proposals for one in again.episodes]
        assert found.rows == again.rows


def test_it_samples_while_the_trainer_learns(watched: Watched, process: Any, settings: RLSettings) -> None:
    sampler = sampler_of(watched, process, settings, 1)
    sampler.sample(SLOTS, 0, watched.learner, 0)
    ahead = sampler._ahead[1]
    assert ahead.result(60)  # though nobody has asked for it
    assert sampler.figures["sampling/versions_behind"] == 0.0
    sampler.sample(SLOTS, 2, watched.learner, 0)
    assert sampler.figures == {"sampling/versions_behind": 1.0, "sampling/late_episodes": 0.0}


def test_a_run_that_is_resumed_begins_with_the_weights_of_now(
    watched: Watched, process: Any, settings: RLSettings
) -> None:
    sampler = sampler_of(watched, process, settings, 2)
    found = sampler.sample(SLOTS, 6, watched.learner, 0)
    assert {one.version for one in found.episodes} == {3}


@pytest.mark.parametrize(("staleness", "versions"), [(0, [0, 1, 2, 3, 4]), (2, [0, 0, 0, 2, 2])])
def test_the_policy_that_is_measured_has_the_weights_of_now(
    watched: Watched, process: Any, settings: RLSettings, staleness: int, versions: list[int]
) -> None:
    sampler = sampler_of(watched, process, settings, staleness)
    for batch, version in enumerate(versions):
        found = sampler.sample(SLOTS, 2 * batch, watched.learner, 0)
        assert {one.version for one in found.episodes} == {version}  # as if nothing were measured
        assert sampler.newest(2 * batch, watched.learner) is watched.policy
        assert [asked for asked in watched.asked if isinstance(asked, int)] == [*range(batch + 1)]


def test_late_episodes_are_dropped_and_counted(watched: Watched, process: Any, settings: RLSettings) -> None:
    sampler = sampler_of(watched, process, settings, 0)
    watched.versions = [-7]
    found = sampler.sample(SLOTS, 4, watched.learner, 0)
    assert {one.version for one in found.episodes} == {2}
    assert sampler.figures == {"sampling/versions_behind": 0.0, "sampling/late_episodes": 4.0}
    assert watched.asked == [2, "batch", 2, "batch"]  # the weights were sent again
    ahead = sampler_of(watched, process, settings, 2)
    watched.versions = [0, -7, -7]
    first = ahead.sample(SLOTS, 0, watched.learner, 0)
    ahead._ahead[2].result(60)  # batch 2 is sampled too, with weights as old
    rounds = [first, *(ahead.sample(SLOTS, 2 * batch, watched.learner, 0) for batch in (1, 2))]
    assert [one.episodes[0].version for one in rounds] == [0, 1, 1]  # all that was ahead is given up
    assert ahead.figures["sampling/late_episodes"] == 8.0
    ahead.close()
    ahead._thread.call(lambda: None)  # what had begun is done
    watched.versions = [-7, -7]
    with pytest.raises(PolicyError, match="batch 3 was sampled twice"):
        sampler.sample(SLOTS, 6, watched.learner, 0)


def test_a_run_that_is_resumed_goes_on_counting_late_episodes(
    watched: Watched, process: Any, settings: RLSettings
) -> None:
    sampler = sampler_of(watched, process, settings, 0)
    row = {"sampling/late_episodes": 3.0}
    sampler.recall([{"sampling/late_episodes": 1.0}, row, {"loss": 0.1}])  # a step on the same episodes
    watched.versions = [-7]
    sampler.sample(SLOTS, 4, watched.learner, 0)
    assert sampler.figures["sampling/late_episodes"] == 3.0 + 4.0
    sampler.recall([])
    assert sampler.figures["sampling/late_episodes"] == 0.0


def test_what_is_ahead_fails_where_it_is_needed(
    watched: Watched, process: Any, settings: RLSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = sampler_of(watched, process, settings, 1)
    honest = watched.sample

    def fail(draw: Draw) -> Any:
        if "batch" in watched.asked:
            raise PolicyError("the server is gone")
        return honest(draw)

    monkeypatch.setattr(watched, "sample", fail)
    sampler.sample(SLOTS, 0, watched.learner, 0)
    with pytest.raises(PolicyError, match="the server is gone"):
        sampler.sample(SLOTS, 2, watched.learner, 0)


def test_a_closed_sampler_begins_nothing_more(watched: Watched, process: Any, settings: RLSettings) -> None:
    sampler = sampler_of(watched, process, settings, 3)
    watched.permits = threading.Semaphore(1)
    sampler.sample(SLOTS, 0, watched.learner, 0)  # and begins three more, the first of which waits
    sampler.close()
    watched.permits.release(3)
    assert sampler._thread.call(lambda: watched.asked.count("batch")) <= 2


def test_figures_of_tokens_do_not_depend_on_the_rows_at_once(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    settings = replace(settings, updates=3, staleness=1, importance_cap=2.0, learning_rate=0.02, max_tokens=9)
    names = {"kl", "entropy", "sampling/kl", "clip_ratio/region_mean"}
    found = []
    for at_once in (2, 8):
        train_policy(
            str(weights),
            process,
            process.task_ids,
            tmp_path / str(at_once),
            replace(settings, rows_at_once=at_once),
            step_format=PSEUDOCODE,
        )
        (state,) = (tmp_path / str(at_once)).glob("checkpoints/checkpoint-3/trainer_state.json")
        rows = [row for row in json.loads(state.read_text())["log_history"] if "sampling/kl" in row]
        found.append([{name: row[name] for name in names} for row in rows])
    for few, all_rows in zip(*found, strict=True):
        assert few == pytest.approx(all_rows, rel=1e-3, abs=1e-6)
    assert found[0][-1]["kl"] > 1e-4
    assert found[0][-1]["sampling/kl"] > 1e-4


def test_a_training_may_be_ahead(weights: Path, process: Any, settings: RLSettings, tmp_path: Path) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    settings = replace(settings, updates=3, staleness=1, importance_cap=2.0, learning_rate=0.02)
    seen: list[dict[str, float]] = []
    trained = train_policy(
        str(weights),
        process,
        process.task_ids,
        tmp_path,
        settings,
        step_format=PSEUDOCODE,
        on_update=lambda t, metrics: seen.append(metrics),
    )
    assert [one["sampling/versions_behind"] for one in seen] == [0.0, 1.0, 1.0]
    (state,) = (tmp_path / "checkpoints").glob("checkpoint-3/trainer_state.json")
    logged = [row for row in json.loads(state.read_text())["log_history"] if "sampling/kl" in row]
    assert logged[0]["sampling/kl"] == pytest.approx(0.0, abs=1e-6)
    assert all(row["sampling/kl"] > 1e-5 for row in logged[1:]), logged  # the policy has learned since
    assert all(row["sampling/max_ratio"] > 1.0 for row in logged[1:])
    assert (trained / "model.safetensors").exists()
