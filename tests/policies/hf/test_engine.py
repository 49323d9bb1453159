import importlib.util
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from o1coder_gym.errors import MissingExtraError, PolicyError, PromptTooLongError, UsageError, WeightsError  # noqa: E402
from o1coder_gym.experiments import tools  # noqa: E402
from o1coder_gym.policies import Generate, HFEngine, HFSettings  # noqa: E402
from o1coder_gym.policies.engine import Meter  # noqa: E402
from o1coder_gym.policies.hf.causal_model import CausalModel  # noqa: E402
from o1coder_gym.policies.hf.decoding import Decoder, Row  # noqa: E402
from o1coder_gym.policies.hf.engine import auto_dtype  # noqa: E402
from o1coder_gym.policies.hf.step_graphs import StepGraphs  # noqa: E402
from o1coder_gym.policies.sampling import draw, uniforms  # noqa: E402
from o1coder_gym.runs import provenance  # noqa: E402
from o1coder_gym.steps.formats import Prompt  # noqa: E402
from o1coder_gym.types import GREEDY, Sampling  # noqa: E402

SAMPLINGS = [
    GREEDY,
    Sampling(),
    Sampling(temperature=1.0, top_p=1.0, top_k=0),
    Sampling(temperature=1.3, top_p=0.9, top_k=5),
]


def never(text):
    return None


def request(engine, text, n=1, sampling=Sampling(), seed=0, boundary=never, max_tokens=12):
    prompt = Prompt((("user", text),), "", "")
    short = replace(sampling, max_tokens=max_tokens)
    return Generate(prompt, engine.encode(prompt), n, short, seed, boundary)


def naive(model, asked):
    """One row at a time, the whole sequence at each token, no cache, transformers' own attention."""
    rows = []
    for sample in range(asked.n):
        ids, uniform = list(asked.prompt_ids), uniforms(asked.seed, sample, asked.sampling.max_tokens)
        for value in uniform:
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[:, -1]
            ids += draw(logits, [asked.sampling], [value])[0]
            if ids[-1] == 256:
                break
        rows.append(tuple(ids[len(asked.prompt_ids) :]))
    return rows


def kept(row):
    return row[:-1] if row[-1] == 256 else row


def test_a_mixed_batch_draws_what_a_naive_loop_draws(tiny):
    model, tokenizer = tiny
    engine = HFEngine.from_model(model, tokenizer, HFSettings(max_rows=7))
    texts = ["short", "a prompt of middling length", "short of nothing", "x" * 90]
    asked = [
        request(engine, text, n, sampling, seed)
        for seed, (text, n, sampling) in enumerate(zip(texts, (3, 1, 4, 2), SAMPLINGS, strict=True))
    ]
    answers = engine.generate(asked)
    again = engine.generate(asked)
    model.set_attn_implementation("sdpa")
    expected = [naive(model, one) for one in asked]
    for rows, completions in zip(expected, answers, strict=True):
        assert [completion.token_ids for completion in completions] == [kept(row) for row in rows]
        assert [completion.tokens for completion in completions] == [len(row) for row in rows]
    assert [[c.token_ids for c in group] for group in again] == [
        [c.token_ids for c in group] for group in answers
    ]


def test_a_row_does_not_depend_on_what_else_is_in_the_batch(tiny):
    alone_engine, engine = HFEngine.from_model(*tiny), HFEngine.from_model(*tiny)
    alone = alone_engine.generate([request(alone_engine, "question", 3, seed=5)])[0]
    crowd = [request(engine, "x" * length, 2, seed=length) for length in (1, 60, 30)]
    together = engine.generate([*crowd, request(engine, "question", 5, seed=5)])[-1]
    assert [c.token_ids for c in together[:3]] == [c.token_ids for c in alone]


def test_logprob_is_that_of_rescoring_the_tokens(tiny):
    model, tokenizer = tiny
    engine = HFEngine.from_model(model, tokenizer)
    asked = request(engine, "rescore me", 2, Sampling(temperature=0.5, top_k=3))
    for completion in engine.generate([asked])[0]:
        ids = torch.tensor([[*asked.prompt_ids, *completion.token_ids]])
        with torch.inference_mode():
            logprobs = model(ids).logits.log_softmax(-1)
        first = len(asked.prompt_ids) - 1
        expected = sum(logprobs[0, first + i, t].item() for i, t in enumerate(completion.token_ids))
        assert completion.logprob == pytest.approx(expected, abs=1e-3)


def test_prompt_tokens_are_computed_once(tiny):
    engine = HFEngine.from_model(*tiny)
    asked = [request(engine, "s" * 100 + own * 10, n=3) for own in "abcd"]
    lengths = [len(one.prompt_ids) for one in asked]
    shared = lengths[0] - len("a" * 10 + "\n\n")
    engine.generate(asked)
    first = engine.counters
    # Per prompt: 10 letters of its own and the two newlines behind them; the shared part once.
    assert first.prompt_tokens == shared + 4 * 12
    assert first.prompt_tokens + first.cached_tokens == sum(lengths)
    answers = engine.generate(asked)
    second = engine.counters - first
    assert (second.prompt_tokens, second.cached_tokens) == (4, sum(lengths) - 4)
    # Each first continuation tells its request's share: the last token is computed anew.
    told = [[(one.prompt_tokens, one.cached_tokens) for one in group] for group in answers]
    assert told == [[(1, length - 1), (0, 0), (0, 0)] for length in lengths]
    engine.forget()
    engine.generate(asked)
    assert (engine.counters - first - second).prompt_tokens == first.prompt_tokens


def test_generated_tokens_are_not_computed_again_when_they_become_a_prompt(tiny):
    engine = HFEngine.from_model(*tiny)
    asked = request(engine, "start", sampling=Sampling(top_k=4), max_tokens=30)
    completion = engine.generate([asked])[0][0]
    more = engine.encode_more(" go on")
    before = engine.counters
    longer = replace(asked, prompt_ids=(*asked.prompt_ids, *completion.token_ids, *more))
    engine.generate([longer])
    # A token at which generation was cut is sampled but not fed; so is an end token, which is not kept.
    unfed = completion.finish == "length"
    assert (engine.counters - before).prompt_tokens == unfed + len(more)


def test_nothing_is_kept_where_no_memory_is_given(tiny):
    engine = HFEngine.from_model(*tiny, settings=HFSettings(prefix_mib=0))
    asked = request(engine, "again")
    engine.generate([asked])
    engine.generate([asked])
    assert engine.counters.cached_tokens == 0


def test_finished_rows_are_dropped(tiny):
    model, tokenizer = tiny
    engine = HFEngine.from_model(model, tokenizer)
    fed = []

    def count_rows(module, args, kwargs):
        fed.append(len(kwargs["input_ids"]))

    handle = model.register_forward_pre_hook(count_rows, with_kwargs=True)
    asked = [request(engine, "drop", 6, max_tokens=limit, seed=limit) for limit in (3, 9, 27)]
    completions = [one for group in engine.generate(asked) for one in group]
    handle.remove()
    assert sum(fed) == sum(one.tokens for one in completions) == engine.counters.generated_tokens
    assert fed == sorted(fed, reverse=True)
    assert engine.counters.batch_sizes == ((18, 1),)


def test_batches_are_bounded_by_rows_and_memory(tiny):
    model, tokenizer = tiny
    engine = HFEngine.from_model(model, tokenizer, HFSettings(max_rows=4))
    engine.generate([request(engine, "rows", 10)])
    assert engine.counters.batch_sizes == ((2, 1), (4, 2))
    # 2 · 3 layers · 2 heads · size 8 · 4 bytes = 384 bytes a token: 1 MiB holds 2730 columns.
    engine = HFEngine.from_model(model, tokenizer, HFSettings(batch_mib=1))
    engine.generate([request(engine, "x" * 1350, 3)])
    assert engine.counters.batch_sizes == ((1, 1), (2, 1))


def test_the_boundary_cuts_text_and_ids_in_one_place(tiny):
    engine = HFEngine.from_model(*tiny)

    def after_second_character(text):
        return 2 if len(text) > 4 else None

    free = engine.generate([request(engine, "cut", 8)])[0]
    cut = engine.generate([request(engine, "cut", 8, boundary=after_second_character)])[0]
    for whole, part in zip(free, cut, strict=True):
        if part.finish == "stop" and len(part.text) == 2:
            assert whole.text.startswith(part.text)
            assert part.tokens > len(part.token_ids)
            assert whole.token_ids[: len(part.token_ids)] == part.token_ids
    assert sum(len(part.text) == 2 for part in cut) >= 4


def test_the_end_of_the_context_cuts_and_a_longer_prompt_is_an_error(tiny):
    engine = HFEngine.from_model(*tiny)
    fits = request(engine, "x" * 4088, max_tokens=50)
    assert len(fits.prompt_ids) == 4090
    completion = engine.generate([fits])[0][0]
    assert completion.tokens <= 6
    before = engine.counters
    with pytest.raises(PromptTooLongError, match="the prompt has 4102 tokens; the model's context is 4096"):
        engine.generate([request(engine, "fine"), request(engine, "x" * 4100)])
    assert engine.counters == before


def test_an_empty_generation_is_a_completion(tiny, monkeypatch):
    model, tokenizer = tiny
    monkeypatch.setattr(model.generation_config, "eos_token_id", list(range(257)))
    engine = HFEngine.from_model(model, tokenizer)
    completion = engine.generate([request(engine, "stop at once")])[0][0]
    assert (completion.text, completion.token_ids, completion.tokens) == ("", (), 1)
    assert (completion.logprob, completion.finish) == (0.0, "stop")


def test_a_chat_template_is_used_where_there_is_one(tiny):
    model, tokenizer = tiny
    prompt = Prompt((("system", "be brief"), ("user", "hi")), "### Step 1", "### Step 1")
    engine = HFEngine.from_model(model, tokenizer)
    assert tokenizer.decode(engine.encode(prompt)) == "be brief\n\nhi\n\n### Step 1"
    templates = {
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>": (
            "<system>be brief<user>hi<assistant>### Step 1"
        ),
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>": ("<user>be brief\n\nhi<assistant>### Step 1"),
    }
    for template, expected in templates.items():
        tokenizer.chat_template = template
        try:
            assert tokenizer.decode(engine.encode(prompt)) == expected
        finally:
            tokenizer.chat_template = None


def test_loading_is_lazy_and_its_failure_typed(tmp_path):
    engine = HFEngine.from_name(str(tmp_path))
    with pytest.raises((WeightsError, PolicyError), match=str(tmp_path)):
        engine.encode(Prompt((("user", "x"),), "", ""))


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'o1coder-gym\[hf\]'"):
        HFEngine.from_name("smollm2-135m")


def test_settings_are_checked():
    with pytest.raises(UsageError, match="dtype"):
        HFSettings(dtype="float8")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="at least 0"):
        HFSettings(max_rows=-1)
    with pytest.raises(UsageError, match="yes or no"):
        HFSettings(graphs="maybe")  # pyright: ignore[reportArgumentType]


def test_recorded_steps_draw_what_launched_steps_draw(tiny):
    """Without a GPU a recording is the step itself: rows filled up, all columns read, places in tensors."""
    recorded = []

    def record(step):
        recorded.append(step)
        return step

    model, tokenizer = tiny
    causal = CausalModel(model, tokenizer)
    engine = HFEngine.from_model(model, tokenizer)
    asked = [request(engine, "x" * length, n, seed=length) for length, n in ((3, 9), (40, 2), (11, 1))]
    assert causal.shape is not None
    graphs = StepGraphs(causal.model, causal.shape, record)
    decoder = Decoder(causal, 10_000, Meter(), graphs)
    for requests in (asked[1:], asked, asked[:1]):  # grows, then uses a part
        rows = [Row.start(one, sample, 12) for one in requests for sample in range(one.n)]
        decoder.run(rows)
        found = iter(row.result().token_ids for row in rows)
        for completions in engine.generate(requests):
            assert [completion.token_ids for completion in completions] == [next(found) for _ in completions]
    assert 1 < len(recorded) < 8


@pytest.mark.parametrize(
    ("device", "features", "dtype"),
    [
        ("cpu", (), "float32"),
        ("cpu", ("avx2", "avx512f"), "float32"),
        ("cpu", ("avx512f", "avx512_bf16"), "bfloat16"),
        ("cuda:1", (), "bfloat16"),
    ],
)
def test_the_dtype_is_what_the_machine_multiplies_and_is_recorded(monkeypatch, device, features, dtype):
    monkeypatch.setattr(provenance, "cpu_features", lambda: features)
    monkeypatch.setattr(tools, "cpu_features", lambda: features)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device != "cpu")
    assert auto_dtype(device) == auto_dtype() == dtype
    row = tools.session_row("hf:tiny", [])
    assert (row["cpu"], row["auto_dtype"]) == (features, dtype)
