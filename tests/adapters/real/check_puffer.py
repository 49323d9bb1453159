"""PufferLib's vectors of O1Coder/Choice-v0 are trained on."""

from blocks import played


def test_pufferlib_trains_on_choices():
    (names,) = played("PufferLib")
    assert names["loss"].isfinite()
    assert any(ended.any() for *_, ended in names["steps"])
