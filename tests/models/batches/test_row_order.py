"""Any number of ranks learns from the same rows in the same steps; idle rows teach nothing."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.models.batches.row_order import (
    NOT_LEARNED,
    FilledOrder,
    NeighbourOrder,
    filled,
    order_rows,
)
from o1coder_gym.process_data import write_data
from o1coder_gym.runs import ranks
from tests.models.batches import ranked_trainings
from tests.prm.conftest import synthetic
from tests.ranks import run


def test_one_process_has_no_idle_rows() -> None:
    rows = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}] * 5
    assert filled(rows, 2) == rows


@pytest.mark.parametrize(
    ("row", "idle"),
    [
        (
            {"input_ids": [1, 2, 3], "labels": [1, 2, 3]},
            {"input_ids": [1, 2], "labels": [NOT_LEARNED] * 2},
        ),
        (
            {"input_ids": [1, 2, 3], "completion_mask": [0, 0, 1]},
            {"input_ids": [1, 2], "completion_mask": [0, 0]},
        ),
        (
            {"prompt_ids": [1, 2, 3], "chosen_ids": [4], "rejected_ids": [5, 6, 7]},
            {"prompt_ids": [1, 2], "chosen_ids": [4], "rejected_ids": [4]},
        ),
    ],
)
def test_idle_rows_make_the_passes_of_all_ranks_equal_in_number(
    row: dict[str, Any], idle: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert filled([row] * 5, 2) == [row] * 5 + [idle] * 3
    assert filled([row] * 8, 2) == [row] * 8
    assert filled([], 2) == []


def test_neighbours_stand_in_one_pass_in_an_order_of_each_epoch() -> None:
    rows = [[row % 5, row % 5, row] for row in range(40)]
    order = NeighbourOrder(rows, run=4, seed=3)
    found = []
    for epoch in range(3):
        order.set_epoch(epoch)
        found.append(list(order))
        assert sorted(found[-1]) == list(range(40))
        assert list(order) == found[-1]  # a training that is resumed asks again
    assert found[0] != found[1] != found[2]
    alike = [
        len({row % 5 for row in epoch[start : start + 4]}) for epoch in found for start in range(0, 40, 4)
    ]
    assert sum(alike) / len(alike) < 1.6  # of 8 rows that begin alike; 4 in an order without neighbours
    assert list(NeighbourOrder([], 4, 0)) == []


def test_idle_rows_come_last_in_each_epoch() -> None:
    told = iter(range(2))
    order = FilledOrder(NeighbourOrder([[n] for n in range(5)], run=2, seed=0), 3, lambda: next(told))
    epochs = []
    for _ in range(2):
        epochs.append(list(order))
        assert (len(order), epochs[-1][5:]) == (8, [5, 6, 7])
        assert sorted(epochs[-1]) == list(range(8))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("neighbours", [False, True])
def test_ranks_that_resume_in_a_later_epoch_go_on_in_its_order(
    neighbours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    from accelerate.data_loader import prepare_data_loader, skip_first_batches
    from torch.utils.data import DataLoader

    monkeypatch.setattr(ranks, "count", lambda: 2)

    def loader(epoch: float) -> Any:
        trainer: Any = SimpleNamespace(
            train_dataset=[{"input_ids": [n]} for n in range(16)],
            args=SimpleNamespace(per_device_train_batch_size=2, seed=3),
            state=SimpleNamespace(epoch=epoch),
        )
        order_rows(trainer, 14, neighbours=neighbours)
        passes = DataLoader(range(16), batch_size=2, sampler=trainer._get_train_sampler())  # pyright: ignore
        return prepare_data_loader(passes, num_processes=2, process_index=1, put_on_device=False)

    first, second = ([batch.tolist() for batch in loader(epoch)] for epoch in (0.0, 1.0))
    assert first != second
    resumed: Any = skip_first_batches(loader(1.5), 2)  # as transformers do
    resumed.set_epoch(1)
    assert [batch.tolist() for batch in resumed] == second[2:]


@pytest.fixture(scope="module")
def trained(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of all trainings, by one rank and by two."""
    pytest.importorskip("trl")
    data, one, two = (tmp_path_factory.mktemp(name) for name in ("data", "one", "two"))
    write_data(data, synthetic(12))
    for count, out in ((1, one), (2, two)):
        for rank in run(count, ranked_trainings.train_all, str(model), data, out):
            assert rank.status == 0, rank.stderr[-3000:]
    return one, two


@pytest.mark.slow
@pytest.mark.parametrize("name", ranked_trainings.TRAININGS)
def test_two_ranks_have_the_curve_and_the_model_of_one(trained: tuple[Path, Path], name: str) -> None:
    from safetensors.torch import load_file

    one, two = (folder / name for folder in trained)
    curve = ranked_trainings.curve(one)
    assert len(curve) > 1
    for mine, theirs in zip(curve, ranked_trainings.curve(two), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    mine, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (one, two))
    assert all(mine[key].sub(theirs[key]).abs().max() < 1e-3 for key in mine)


@pytest.mark.slow
@pytest.mark.parametrize("name", ranked_trainings.TRAININGS)
def test_a_training_goes_the_way_it_went(trained: tuple[Path, Path], name: str) -> None:
    wanted = json.loads(ranked_trainings.GOLDEN.read_text())[name]
    for mine, before in zip(ranked_trainings.curve(trained[0] / name), wanted, strict=True):
        assert {key: mine[key] for key in before} == pytest.approx(before, rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_the_run_folder_is_written_by_the_first_rank(trained: tuple[Path, Path]) -> None:
    for name in ranked_trainings.TRAININGS:
        one, two = (sorted(path.name for path in (folder / name).iterdir()) for folder in trained)
        assert one == two
        assert "| peak_memory_gib |" in (trained[1] / name / "model" / "README.md").read_text()
