"""Harvest: finished search trees become D_process (Algorithm 1, steps 2 and 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.process_data import LabelRule, PairRule, PathRow, PrefixRow, ProcessData
from o1coder_gym.process_data.dataset import assembled, each_once, source_id
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.types import ActionType, Outcome, Problem, Submission, Tests
from o1coder_gym.types.protocols import Judge


def harvest(
    trees: Iterable[SearchTree],
    judge: Judge,
    *,
    source: Mapping[str, Any],
    tests: Mapping[str, Tests] | None = None,
    label_rule: LabelRule = LabelRule(),
    pair_rule: PairRule = PairRule(),
    validation: float = 0.1,
) -> ProcessData:
    """Makes D_process of finished searches (Algorithm 1, step 2).

    Steps that cannot be read have no row (environments and searches give them 0 without asking a scorer),
    nor have steps that were never evaluated, on which the judge failed, or that the budget cut. Only the
    policy's own steps are data: notes that an agent wrote stay in the states of the steps below them, as
    context, but have no row, and no path that holds one is learned as if the policy had written it; nor is
    one with a step before the program that was cut at its limit of tokens. Values are those of the search: a
    search whose leaves were valued by a step scorer passes that scorer's opinion on.

    Args:
        trees: Of one step format; trees of the same problem are merged.
        judge: Runs the passing programs once more.
        source: Description of what made the trees, JSON-able; its hash names the source in each row.
        tests: Tests by task id that the search had beside the public ones.
        label_rule: Hard labels.
        pair_rule: Pairs.
        validation: Share of all problems held out.

    Raises:
        InfrastructureError: When the judge fails on a program.
        UsageError: When two trees of one task id ask for different things, or formats differ.
    """
    found = list(trees)
    problems = each_once(tree.problem for tree in found)
    if len(formats := sorted({tree.format for tree in found})) > 1:
        raise UsageError(f"trees of different step formats cannot form one data set: {', '.join(formats)}")
    # The hash of what made the trees, by which `merged` notices a run that comes in twice.
    name = source_id(source)
    drops: Counter[str] = Counter()
    prefixes = [row for tree in found for row in prefix_rows(tree, name, drops)]
    candidates = [path for tree in found for path in _passing_paths(tree, name, drops)]
    return assembled(
        formats[0] if formats else "pseudocode",
        problems.values(),
        prefixes,
        verified(candidates, problems, judge, tests or {}, drops),
        label_rule=label_rule,
        pair_rule=pair_rule,
        validation=validation,
        sources={name: dict(source)},
        drops=drops,
    )


def prefix_rows(tree: SearchTree, source: str, drops: Counter[str]) -> Iterator[PrefixRow]:
    """Yields a row for each prefix of a tree that was evaluated; labels and split are still blank.

    None of a search without tests that can be judged: its programs that load have no value, so what failed
    would be all that counts, and every step of it would look like a bad one.

    Args:
        tree: A finished search.
        source: Id of what made it.
        drops: Counts what is left out.
    """
    # The whole tree, not single nodes: what was backed up to inner nodes is biased by the ends that could not
    # be judged.
    if any(node.outcome is Outcome.UNSUPPORTED for node in tree.nodes):
        drops["prefix: a test cannot be judged"] += len(tree.nodes) - 1
        return
    if any(node.outcome is Outcome.NO_TESTS for node in tree.nodes):
        drops["prefix: the problem has no tests"] += len(tree.nodes) - 1
        return
    # [N] each: ends, and passing ends, at or below every node.
    ends, passing = _below(tree, _is_end), _below(tree, _passes)
    completions = dict(tree.completions)
    for index, node in enumerate(tree.nodes):
        if node.parent is None:
            continue
        if (reason := reason_to_drop(node)) is not None:
            drops[reason] += 1
            continue
        tokens, logprob = _cost(tree, index)
        assert node.value is not None
        value, visits, counts = node.value, node.visits, (ends[index], passing[index])
        if found := completions.get(index):
            # Math-Shepherd's estimate (arXiv 2312.08935, section 3.3): a search's visits are few, and lean
            # towards what it took for good
            value, visits = fmean(found), len(found)
            counts = len(found), sum(v >= 1.0 for v in found)
        yield PrefixRow(
            state=tree.state(index),
            value=value,
            visits=visits,
            ends=counts[0],
            passing=counts[1],
            ended=_is_end(node),
            soft=value,
            # Blank until `assembled`: label and split depend on what other trees found of the same state.
            hard=0,
            tokens=tokens,
            logprob=logprob,
            split="",
            sources=(source,),
            completed=bool(found),
            kept=_kept(tree, index),
        )


def verified(
    paths: Sequence[PathRow],
    problems: Mapping[str, Problem],
    judge: Judge,
    tests: Mapping[str, Tests],
    drops: Counter[str],
) -> list[PathRow]:
    """Returns D⁺, the paths whose program passes all tests in a fresh run (Algorithm 1, step 3).

    Args:
        paths: Candidates; `tests` of each is filled in.
        problems: By task id.
        judge: Runs the programs.
        tests: Tests by task id beside the public ones.
        drops: Counts what is left out.

    Raises:
        InfrastructureError: When the judge fails on a program.
    """
    # In one batch, and once more although the search judged them: a flaky program must not be learned.
    submissions = [_submission(path, problems[path.state.problem_id], tests) for path in paths]
    verdicts = judge.evaluate(submissions) if submissions else []
    kept = []
    for path, verdict in zip(paths, verdicts, strict=True):
        if verdict.outcome is Outcome.INFRASTRUCTURE:
            raise InfrastructureError(f"{path.state.problem_id}: the judge failed: {verdict.error}")
        if verdict.outcome is Outcome.PASS and verdict.total:
            kept.append(replace(path, tests=verdict.total))
        else:
            drops["path: did not pass again"] += 1
    return kept


def _passing_paths(tree: SearchTree, source: str, drops: Counter[str]) -> Iterator[PathRow]:
    for index, node in enumerate(tree.nodes):
        if not _passes(node):
            continue
        state, nodes = tree.state(index), [tree.nodes[place] for place in tree.path(index)]
        if any(step.type is ActionType.MALFORMED for step in state.steps):
            drops["path: a step cannot be read"] += 1
        # SFT would teach the policy to write the agent's notes itself.
        elif any(node.author != "policy" for node in nodes):
            drops["path: holds a note of the agent"] += 1
        # It would teach to stop in the middle of a sentence; a program that is read is whole.
        elif any(node.finish == "length" for node in nodes[:-1]):
            drops["path: a step was cut at its limit of tokens"] += 1
        else:
            yield PathRow(state, 0, *_cost(tree, index), "", (source,))


def _submission(path: PathRow, problem: Problem, tests: Mapping[str, Tests]) -> Submission:
    code = path.state.code
    assert code is not None
    every = (*problem.public_tests, *tests.get(problem.task_id, ()))
    return submission(problem, code, every)


def reason_to_drop(node: TreeNode) -> str | None:
    """Returns why a node has no row in a data set, as the card says it; None if it has one."""
    if node.author != "policy":
        return "prefix: a note of the agent"
    if node.finish == "budget":
        return "prefix: cut by the budget"
    if node.step is not None and node.step.type is ActionType.MALFORMED:
        return "prefix: step cannot be read"
    if node.outcome is Outcome.INFRASTRUCTURE:
        return "prefix: the judge failed"
    return "prefix: never evaluated" if not node.visits else None


def _is_end(node: TreeNode) -> bool:
    return node.end is not None


def _passes(node: TreeNode) -> bool:
    return node.outcome is Outcome.PASS and "1" in node.bits


def _below(tree: SearchTree, counts: Callable[[TreeNode], bool]) -> list[int]:
    """Returns for each node how many nodes at or below it satisfy `counts`, [N]."""
    # [N], summed from the leaves up in one pass.
    totals = [int(counts(node)) for node in tree.nodes]
    for index in range(len(tree.nodes) - 1, 0, -1):  # parents come before children
        parent = tree.nodes[index].parent
        assert parent is not None
        totals[parent] += totals[index]
    return totals


def _cost(tree: SearchTree, index: int) -> tuple[int, float | None]:
    """Returns tokens and log-probability of the path to a node."""
    nodes = [tree.nodes[place] for place in tree.path(index)[1:]]
    # The log-probability of a chain is a sum: with one unknown term it is unknown, not smaller.
    known = [node.logprob for node in nodes if node.logprob is not None]
    return sum(node.tokens for node in nodes), sum(known) if len(known) == len(nodes) else None


def _kept(tree: SearchTree, index: int) -> int | None:
    """Returns the tokens that the log-probability of a path sums over, None where these are all."""
    nodes = [tree.nodes[place] for place in tree.path(index)[1:]]
    if all(node.kept is None for node in nodes):
        return None
    return sum(node.tokens if node.kept is None else node.kept for node in nodes)
