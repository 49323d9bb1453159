import pytest

from o1coder_gym.policies import Generate
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import Problem, Sampling, State

PROBLEM = Problem("t", "Plan it.")


def text_with_merged_fence() -> TokenText:
    """A byte tokenizer in which the end of a fence and an empty line are one token, as in Qwen's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, "`Ċ", "`ĊĊ", "<end>"]
    merges = [("`", "Ċ"), ("`Ċ", "Ċ")]
    tokenizer = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return TokenText(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>"))


def test_a_token_that_closes_the_fence_and_more_is_kept_whole():
    text = text_with_merged_fence()
    opening = "```python\n"
    ids = text.encode_more("f = abs\n```\n\nThis is it.")
    assert text.piece(ids[-12]) == "`\n\n"
    end = VANILLA.boundary(opening + text.decode(ids))
    assert end is not None
    kept = text.trim(ids, end - len(opening))
    assert text.decode(ids[:kept]) == "f = abs\n```\n\n"
    assert VANILLA.parse(opening + text.decode(ids[:kept])).text == "f = abs"


def test_a_tokenizer_that_joins_lines_is_told():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "def": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with pytest.warns(UserWarning, match="blanks and line ends of programs"):
        TokenText(PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>"))


def test_text_behind_the_boundary_is_dropped():
    text = text_with_merged_fence()
    ids = text.encode_more("plan\n\n### Step 2 (code)")
    assert text.decode(ids[: text.trim(ids, len("plan\n\n"))]) == "plan"


@pytest.mark.parametrize(
    ("written", "kept", "cut", "finish"),
    [
        ("plan\n\n### Step 2", "plan", False, "stop"),
        ("plan\n\n### Step 2", "plan", True, "stop"),  # the boundary came first
        ("plan \n", "plan \n", False, "stop"),  # an end token: nothing is cut
        ("plan to", "plan to", True, "length"),
        ("", "", False, "stop"),
    ],
)
def test_a_completion_is_cut_once_and_counts_all_that_was_sampled(written, kept, cut, finish):
    text = text_with_merged_fence()
    request = Generate(PSEUDOCODE.prompt(PROBLEM, State("t")), (), 1, Sampling(), 0, PSEUDOCODE.boundary)
    ids = text.encode_more(written)
    sampled = (*ids, 0)
    completion = text.completion(request, sampled, [-0.5] * len(sampled), ended=True, cut=cut)
    assert completion.sampled_ids == sampled
    assert completion.sampled_logprobs == (-0.5,) * len(sampled)
    assert (completion.text, completion.token_ids) == (kept, text.encode_more(kept))
    assert (completion.tokens, completion.logprob) == (len(ids) + 1, -0.5 * len(kept))
    assert completion.finish == finish
