import pytest

from o1coder_gym.errors import PromptTooLongError, UsageError
from o1coder_gym.policies import Completion, Counters, HFEngine, LanguageModelPolicy
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, Sampling, State
from o1coder_gym.types.protocols import Policy

PROBLEM = Problem("t/0", "Add two numbers.", "add")
ROOT = State("t/0")


class Spelling:
    """An engine whose tokens are characters and whose completions are given."""

    parallel = 1
    counters = Counters()

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked = []

    def encode(self, prompt):
        return self.encode_more("".join(content for _, content in prompt.messages) + prompt.prefill)

    def encode_more(self, text):
        return tuple(map(ord, text))

    def generate(self, requests):
        self.asked += requests
        made = (Completion(text, self.encode_more(text), len(text) + 1, -1.0, "stop") for text in self.texts)
        return [tuple(made) for _ in requests]


def spelled(ids):
    return "".join(map(chr, ids))


def test_a_proposal_is_the_whole_action():
    engine = Spelling("plan it\n\n")
    policy = LanguageModelPolicy(engine)
    assert isinstance(policy, Policy)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    assert proposal.text == "### Step 1 (define)\nplan it\n\n"
    assert (proposal.tokens, proposal.logprob, len(proposal.token_ids)) == (10, -1.0, 9)


@pytest.mark.parametrize("ending", ["\n\n", "\n", "", " \n"])
def test_a_childs_prompt_extends_the_ids_of_its_parent(ending):
    engine = Spelling("plan it" + ending)
    policy = LanguageModelPolicy(engine)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    child = ROOT.then(PSEUDOCODE.parse(proposal.text))
    policy.propose([PolicyRequest(PROBLEM, child, 1, history=(proposal,))])
    parent, extended = (asked.prompt_ids for asked in engine.asked)
    written = engine.encode(PSEUDOCODE.prompt(PROBLEM, child))
    assert extended[: len(parent)] == parent
    assert spelled(extended).startswith(spelled(parent) + "plan it" + ending)
    if ending != " \n":
        assert extended == written


class Merging(Spelling):
    """Writes letter by letter, and reads "ab" as one token."""

    def encode(self, prompt):
        return self.encode_more(spelled(super().encode(prompt)).replace("ab", "Ā"))


def test_a_child_of_a_step_that_ended_at_once_extends_what_was_sampled():
    engine = Merging()
    policy, state, history = LanguageModelPolicy(engine), ROOT, ()
    for text in ("ab", "", "cd"):
        engine.texts = (text,)
        ((proposal,),) = policy.propose([PolicyRequest(PROBLEM, state, 1, history=history)])
        history = (*history, proposal)
        state = state.then(PSEUDOCODE.parse(proposal.text))
    _, second, third = (asked.prompt_ids for asked in engine.asked)
    assert spelled(second).endswith("ab\n\n### Step 2 (")
    assert third[: len(second)] == second
    assert spelled(third).endswith("### Step 2 (\n\n### Step 3 (")


def test_a_prompt_depends_on_the_request_alone():
    """Not on what else was sampled, before or in another process, nor on which prompts are kept."""
    engine = Merging()
    policy = LanguageModelPolicy(engine)
    letters = Proposal("### Step 1 (define)\nab", 2, token_ids=(ord("a"), ord("b")))
    whole = Proposal("### Step 1 (define)\nab", 1, token_ids=(ord("Ā"),))
    child = ROOT.then(PSEUDOCODE.parse(whole.text))
    asked = [(letters,), (whole,), (None,), (), (letters,)]
    prompts = [policy.prompt_ids(PROBLEM, child, history) for history in asked]
    merged = [spelled(ids).rpartition("(define)")[2].count("Ā") for ids in prompts]
    assert merged == [0, 1, 1, 1, 0]
    assert prompts == [LanguageModelPolicy(engine).prompt_ids(PROBLEM, child, history) for history in asked]


def test_a_history_longer_than_the_state_is_refused():
    policy = LanguageModelPolicy(Merging())
    with pytest.raises(UsageError, match="a history of 1 proposals for a state of 0 steps"):
        policy.propose([PolicyRequest(PROBLEM, ROOT, 1, history=(Proposal("x", 1),))])


def test_what_follows_a_step_that_was_not_sampled_keeps_its_tokens():
    engine = Merging()
    policy = LanguageModelPolicy(engine)
    note = ROOT.then(PSEUDOCODE.parse("### Step 1 (define)\nab"))
    letters = Proposal("### Step 2 (define)\nab", 10, token_ids=tuple(map(ord, "define)\nab")))
    child = note.then(PSEUDOCODE.parse(letters.text))
    for history in ((None, letters), (letters,)):
        assert spelled(policy.prompt_ids(PROBLEM, child, history)).endswith(
            "Ā\n\n### Step 2 (define)\nab\n\n### Step 3 ("
        )


def test_a_state_that_was_never_generated_is_written_out():
    engine = Spelling("x")
    child = ROOT.then(PSEUDOCODE.parse("### Step 1 (define)\nby hand"))
    LanguageModelPolicy(engine).propose([PolicyRequest(PROBLEM, child, 1)])
    assert spelled(engine.asked[0].prompt_ids).endswith("by hand\n\n### Step 2 (")


def test_states_of_problems_with_equal_ids_are_kept_apart():
    engine = Spelling("x")
    policy = LanguageModelPolicy(engine)
    policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])
    policy.propose([PolicyRequest(Problem("t/0", "Multiply two numbers.", "mul"), ROOT, 1)])
    assert "Multiply" in spelled(engine.asked[1].prompt_ids)


def test_an_empty_completion_is_a_malformed_step():
    proposal = LanguageModelPolicy(Spelling("")).propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    assert PSEUDOCODE.parse(proposal.text).type is ActionType.MALFORMED


def test_computed_prompt_tokens_stay_near_the_unique_tokens_of_the_tree(tiny):
    """The pin of the engine: at most 1.10 times, over a tree of 3 levels, 3 children each."""
    engine = HFEngine.from_model(*tiny)
    policy = LanguageModelPolicy(engine)
    prompts, generated, level = set(), 0, [(State("t/0"), ())]
    for depth in range(3):
        drawn = Sampling(max_tokens=16)
        requests = [PolicyRequest(PROBLEM, s, 3, drawn, depth, history=history) for s, history in level]
        answers = policy.propose(requests)
        proposals = [proposal for group in answers for proposal in group]
        generated += sum(proposal.tokens for proposal in proposals)
        prompts |= {policy.prompt_ids(PROBLEM, request.state, request.history) for request in requests}
        level = [
            (request.state.then(PSEUDOCODE.parse(proposal.text)), (*request.history, proposal))
            for request, group in zip(requests, answers, strict=True)
            for proposal in group
        ]
    unique = {ids[:end] for ids in prompts for end in range(1, len(ids) + 1)}
    counters = engine.counters
    assert counters.generated_tokens == generated
    assert counters.prompt_tokens <= 1.10 * len(unique)
    assert counters.cached_tokens > 3 * counters.prompt_tokens


class Thinking(Spelling):
    """Opens a thought by a tag; the calls are answered one after the other."""

    def __init__(self, *said):
        super().__init__()
        self.said = list(said)

    def encode_thought(self, prompt):
        return self.encode_more(prompt.messages[-1][1] + "<think>\n"), "</think>"

    def generate(self, requests):
        texts = iter(self.said.pop(0))
        self.asked += requests
        return [
            tuple(
                Completion(text, self.encode_more(text), len(text) + 1, -1.0, "stop", 5, 2)
                for _, text in zip(range(request.n), texts, strict=False)
            )
            for request in requests
        ]


def test_a_thought_has_a_budget_of_its_own_and_is_no_part_of_the_step():
    engine = Thinking(["Add.", "Sum them up."], ["a plan\n", "another\n"])
    policy = LanguageModelPolicy(engine, think_tokens=20)
    request = PolicyRequest(PROBLEM, ROOT, 2, Sampling(max_tokens=50), 7)
    first, second = policy.propose([request])[0]
    assert first.text == "<think>\nAdd.\n</think>\n\n### Step 1 (define)\na plan\n"
    assert PSEUDOCODE.parse(first.text).text == "a plan"
    assert (first.tokens, spelled(first.token_ids), first.logprob) == (5 + 8, "a plan\n", -1.0)
    # of the action's prompt only what stands behind the thought is new
    behind = len("\n</think>\n\n### Step 1 (define)\n")
    assert (second.tokens, second.prompt_tokens, second.cached_tokens) == (13 + 9, 5 + behind, 2)
    thinking, *acting = engine.asked
    assert (thinking.n, thinking.sampling.max_tokens, thinking.prompt.stop) == (2, 20, ("</think>",))
    assert thinking.boundary("Add.</think>\n\nno") == 4
    assert [one.sampling.max_tokens for one in acting] == [45, 37]
    assert spelled(acting[0].prompt_ids).endswith("<think>\nAdd.\n</think>\n\n### Step 1 (define)\n")
    assert len({thinking.seed, *(one.seed for one in acting)}) == 3


@pytest.mark.parametrize("texts", [["Add.", "Sum " * 30], ["Sum " * 30, "Add."], ["Sum " * 30, "Sum " * 40]])
def test_a_thought_that_fills_the_context_is_paid_for(texts):
    class Narrow(Thinking):
        def generate(self, requests):
            if any("Sum Sum" in spelled(one.prompt_ids) for one in requests):
                raise PromptTooLongError("it does not fit")
            return super().generate(requests)

    engine = Narrow(texts, *[["a plan\n"]] * texts.count("Add."))
    policy = LanguageModelPolicy(engine, think_tokens=200)
    request = PolicyRequest(PROBLEM, ROOT, 2, Sampling(max_tokens=300), 7)
    for text, proposal in zip(texts, policy.propose([request])[0], strict=True):
        written = "" if text != "Add." else "a plan\n"
        assert proposal.text == f"<think>\n{text.strip()}\n</think>\n\n### Step 1 (define)\n{written}"
        assert proposal.tokens == len(text) + 1 + (len(written) + 1 if written else 0)
        assert (proposal.finish, proposal.logprob) == (("stop", -1.0) if written else ("length", 0.0))


def test_a_request_with_few_tokens_is_answered_without_a_thought():
    engine = Thinking(["a plan\n"], [])
    policy = LanguageModelPolicy(engine, think_tokens=20)
    assert policy.propose([PolicyRequest(PROBLEM, ROOT, 1, Sampling(max_tokens=16))])[0][0].tokens == 8
    assert policy.propose([]) == []


def test_a_thought_may_be_the_first_step():
    engine = Thinking(["Add.\n", "### Step 2 sums"], ["a plan\n"], ["refine)\nas it is\n"])
    policy = LanguageModelPolicy(engine, think_step=True, think_tokens=20)
    first, second = policy.propose([PolicyRequest(PROBLEM, ROOT, 2, Sampling(max_tokens=50), 7)])[0]
    assert (first.text, first.tokens, first.logprob) == ("### Step 1 (define)\nAdd.\n", 6, -1.0)
    assert PSEUDOCODE.parse(second.text).text == "### Step 2 sums"
    assert engine.asked[0].sampling.max_tokens == 20
    state = ROOT.then(PSEUDOCODE.parse(first.text))
    (later,) = policy.propose([PolicyRequest(PROBLEM, state, 1, Sampling(max_tokens=50), 7)])[0]
    assert later.text == "### Step 2 (a plan\n"
    assert spelled(engine.asked[1].prompt_ids).endswith("### Step 1 (define)\nAdd.\n\n### Step 2 (")
    free = LanguageModelPolicy(engine, think_step=True)
    free.propose([PolicyRequest(PROBLEM, ROOT, 1, Sampling(max_tokens=50), 7)])
    assert engine.asked[2].sampling.max_tokens == 50


def test_a_format_without_steps_has_no_place_for_a_thought():
    with pytest.raises(UsageError, match="vanilla has no step"):
        LanguageModelPolicy(Thinking(), VANILLA, think_step=True)


def test_an_engine_that_cannot_think_says_so():
    with pytest.raises(UsageError, match="Spelling cannot open a thought"):
        LanguageModelPolicy(Spelling(), think_tokens=1)


def test_a_question_is_all_that_the_model_is_shown_and_its_answer_is_no_step():
    engine = Spelling("plan it\n\n")
    policy = LanguageModelPolicy(engine)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1, question="How?")])[0][0]
    assert proposal.text == "plan it\n\n"
    assert spelled(engine.asked[0].prompt_ids) == "How?"
    assert engine.asked[0].boundary(proposal.text) is None
    policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])  # the prompt of the state is what it was
    assert engine.asked[1].prompt_ids == engine.encode(PSEUDOCODE.prompt(PROBLEM, ROOT))
