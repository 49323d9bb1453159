import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from o1coder_gym.policies.sampling import draw, uniforms  # noqa: E402
from o1coder_gym.types import GREEDY, Sampling  # noqa: E402

# Token 2 has probability 0.5, token 0 0.3, token 1 0.2.
LOGITS = torch.tensor([[0.3, 0.2, 0.5]]).log() + 7.0
ALL = Sampling(temperature=1.0, top_p=1.0, top_k=0)


@pytest.mark.parametrize(
    ("sampling", "uniform", "token"),
    [
        (ALL, 0.49, 2),
        (ALL, 0.51, 0),
        (ALL, 0.79, 0),
        (ALL, 0.81, 1),
        (ALL, 0.9999999999999999, 1),
        (GREEDY, 0.99, 2),
        # top_k = 2 leaves 0.5 and 0.3: the border is at 0.5 / 0.8 = 0.625.
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), 0.62, 2),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), 0.63, 0),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), 0.9999999999999999, 0),
        # top_p = 0.6 needs both 0.5 and 0.3; top_p = 0.5 is reached by token 2 alone.
        (Sampling(temperature=1.0, top_p=0.6, top_k=0), 0.99, 0),
        (Sampling(temperature=1.0, top_p=0.5, top_k=0), 0.99, 2),
        # Temperature ½ squares: 0.25, 0.09, 0.04 of 0.38; the borders are at 0.658 and 0.895.
        (Sampling(temperature=0.5, top_p=1.0, top_k=0), 0.65, 2),
        (Sampling(temperature=0.5, top_p=1.0, top_k=0), 0.66, 0),
        (Sampling(temperature=0.5, top_p=1.0, top_k=0), 0.90, 1),
        # top-k comes first: of 0.5 and 0.3 renormalised, 0.625 already reaches top_p = 0.6.
        (Sampling(temperature=1.0, top_p=0.6, top_k=2), 0.99, 2),
    ],
)
def test_draw_inverts_the_truncated_distribution(sampling, uniform, token):
    tokens, logprobs = draw(LOGITS, [sampling], [uniform])
    assert tokens == [token]
    assert logprobs[0] == pytest.approx(math.log([0.3, 0.2, 0.5][token]), abs=1e-5)


def test_rows_with_different_sampling_do_not_disturb_each_other():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 40, generator=generator)
    sampling = [GREEDY, ALL, Sampling(), Sampling(top_k=3), Sampling(top_p=0.3), ALL]
    uniform = [0.1, 0.9, 0.5, 0.7, 0.99, 0.2]
    together = draw(logits, sampling, uniform)[0]
    alone = [draw(logits[i : i + 1], sampling[i : i + 1], uniform[i : i + 1])[0][0] for i in range(6)]
    assert together == alone


def test_streams_are_fixed_by_seed_and_sample():
    assert np.array_equal(uniforms(3, 1, 5), uniforms(3, 1, 9)[:5])
    assert not np.array_equal(uniforms(3, 1, 5), uniforms(3, 2, 5))
    assert not np.array_equal(uniforms(3, 1, 5), uniforms(4, 1, 5))
    assert uniforms(-1, 0, 1000).max() < 1


@pytest.mark.parametrize("spread", [0.01, 1.0, 4.0])
def test_looking_at_the_likeliest_first_changes_no_draw(spread):
    generator = torch.Generator().manual_seed(1)
    logits = spread * torch.randn(400, 500, generator=generator)
    kinds = [ALL, Sampling(temperature=0.7, top_p=0.9, top_k=0), Sampling(top_k=40), GREEDY]
    sampling = [kinds[i % 4] for i in range(400)]
    uniform = torch.rand(400, generator=generator, dtype=torch.float64).tolist()
    tokens, logprobs = draw(logits, sampling, uniform, first=32)
    sorted_tokens, sorted_logprobs = draw(logits, sampling, uniform, first=500)
    assert tokens == sorted_tokens
    assert logprobs == pytest.approx(sorted_logprobs, abs=1e-5)
    ranks = (logits > logits.gather(1, torch.tensor(tokens)[:, None])).sum(-1)
    assert ranks[::4].max() >= 32  # some draws fell beyond the first look
    assert ranks[::4].min() < 32
