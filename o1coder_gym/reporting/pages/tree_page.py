"""The tree viewer: one HTML file per problem, for one agent or several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.problems.hidden_tests import candidate_name
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.reporting.pages.page import asset, embedded, html_page
from o1coder_gym.reporting.results import RESULTS
from o1coder_gym.reporting.run_trees import RunTrees, Verdicts
from o1coder_gym.reporting.tree_text import origin
from o1coder_gym.specs import name_of
from o1coder_gym.steps.formats import FORMATS, StepFormat
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, Step, TestCase

DIGITS = 4
"""Decimal places of the numbers in a page."""

_COLUMNS = ("parent", "born", "visits", "tokens", "outcome", "bits")
_NUMBERS = ("value", "prior", "logprob", "score", "end")


def tree_page(
    trees: Sequence[SearchTree],
    hidden: Verdicts = MappingProxyType({}),
    links: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Returns the viewer of one problem's trees as an HTML file.

    Args:
        trees: Of one problem, at least one; the first is shown first.
        hidden: Verdicts of the hidden tests on the answers.
        links: Addresses of the ``report`` and of the ``previous`` and ``next`` problem, those that there are.

    Raises:
        UsageError: When there is no tree, or the trees are of several problems.
    """
    tasks = {tree.problem.task_id for tree in trees}
    if len(tasks) != 1:
        raise UsageError(f"a tree page shows the trees of one problem, got {sorted(tasks) or 'none'}")
    problem = trees[0].problem
    data = {
        "problem": {"task_id": problem.task_id, "prompt": problem.prompt, "tests": test_lines(problem)},
        "formats": {name: view for tree in trees if (view := _format(tree)) for name in [tree.format]},
        "trees": [_tree(tree, hidden) for tree in trees],
        "links": dict(links),
    }
    return html_page(
        f"{problem.task_id} · search tree",
        asset("tree.html"),
        styles=("base.css", "tree.css"),
        scripts=("theme.js", "tidy.js", "tree.js"),
        data=data,
    )


def notebook_cell(tree: SearchTree) -> str:
    """Returns the viewer of one tree as the HTML output of a notebook's cell."""
    return embedded(tree_page([tree]), height=620)


def test_lines(problem: Problem) -> list[str]:
    """Returns a line per public test."""
    return [test_line(problem, test) for test in problem.public_tests]


def test_line(problem: Problem, test: TestCase) -> str:
    """Returns a test as people write it: a call with its expected result, an assertion, input and output."""
    match test:
        case CallTest(args, expected):
            return f"{problem.entry_point}({args.strip()[1:-1].strip()}) == {expected}"
        case AssertTest(code):
            return code.strip().removeprefix("assert ")
        case CheckTest(code):
            return code.strip()
        case StdioTest(stdin, stdout) | CheckerTest(stdin, _, stdout):
            return f"{stdin.strip()!r} → {stdout.strip()!r}"


def _tree(tree: SearchTree, hidden: Verdicts) -> dict[str, Any]:
    nodes = tree.nodes
    verdict = hidden.get((tree.problem.task_id, candidate_name(tree.code))) if tree.code is not None else None
    inner = [bool(children) for children in tree.children()]
    step_format = FORMATS.get(tree.format)
    columns: dict[str, Any] = {name: [getattr(node, name) for node in nodes] for name in _COLUMNS}
    columns |= {name: [_rounded(getattr(node, name)) for node in nodes] for name in _NUMBERS}
    columns["origin"] = {
        index: told
        for index, node in enumerate(nodes)
        if (told := origin(node.author, node.finish, node.tokens))
    }
    columns["cut"] = [index for index, node in enumerate(nodes) if node.finish == "budget"]
    columns["samples"] = [node.count for node in nodes]
    columns["kind"] = [int(node.step.type) if node.step else -1 for node in nodes]
    columns["text"] = [node.step.text if node.step else "" for node in nodes]
    columns["say"] = {
        index: _as_said(step_format, node.step, len(tree.path(index)) - 1)
        for index, node in enumerate(nodes)
        if node.step and inner[index] and step_format
    }
    return {
        "agent": tree.agent,
        "seed": tree.seed,
        "format": tree.format,
        "usage": {"tokens": tree.usage.tokens},
        "chosen": tree.chosen,
        "hidden": verdict and {"outcome": verdict.outcome, "passed": verdict.passed, "total": verdict.total},
        "nodes": columns,
        "partings": [
            {
                "input": one.input,
                "outputs": [[output, list(nodes), programs] for output, nodes, programs in one.outputs],
                "right": one.right,
                "confidence": _rounded(one.confidence),
            }
            for one in tree.partings
        ],
        "trace": [[_rounded(cell) for cell in column] for column in zip(*tree.trace, strict=True)],
    }


def _as_said(step_format: StepFormat, step: Step, index: int) -> str:
    """Returns a step in the form in which prompts of later steps show it."""
    return step_format.render(step, index).rstrip()


def _format(tree: SearchTree) -> dict[str, Any] | None:
    """Returns the prompt's messages, and by depth what follows the steps in the model's turn."""
    step_format = FORMATS.get(tree.format)
    if step_format is None:
        return None
    tails: dict[int, str] = {}
    messages: Sequence[tuple[str, str]] = ()
    for index in range(len(tree.nodes)):
        state = tree.state(index)
        if state.depth in tails or state.code is not None:
            continue
        prompt = step_format.prompt(tree.problem, state)
        said = [_as_said(step_format, step, place) for place, step in enumerate(state.steps, start=1)]
        tails[state.depth] = prompt.prefill.removeprefix("".join(f"{text}\n\n" for text in said))
        messages = prompt.messages
    return {"messages": [list(turn) for turn in messages], "tails": tails}


def _rounded(number: float | None) -> float | None:
    return round(number, DIGITS) if isinstance(number, float) else number


PAGES = "trees"
"""Name of the folder of viewer pages in a run folder."""


def page_names(task_ids: Iterable[str]) -> dict[str, str]:
    """Returns a file name per problem: no two alike, safe in every file system and address."""
    names: dict[str, str] = {}
    for task_id in task_ids:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", task_id).strip("-.")[:80] or "problem"
        name, number = f"{stem}.html", 2
        while name.lower() in (known.lower() for known in names.values()):
            name, number = f"{stem}-{number}.html", number + 1
        names[task_id] = name
    return names


def write_pages(trees: RunTrees, task_ids: Iterable[str] = ()) -> dict[str, Path]:
    """Writes a viewer page per problem into the folder `PAGES` of the run.

    A page opens on the largest tree of a search; the controls, which draw no tree to speak of, come last.

    Args:
        trees: Of a run.
        task_ids: The problems; all if empty.

    Returns:
        The page of each problem.
    """
    verdicts = trees.verdicts()
    names = page_names(trees.task_ids)
    (trees.folder / PAGES).mkdir(exist_ok=True)
    pages = {task_id: trees.folder / PAGES / names[task_id] for task_id in task_ids or trees.task_ids}
    # a run of solve has no report, and of one problem alone the pages beside it may never have been written
    there = {page.name for page in (*pages.values(), *(trees.folder / PAGES).iterdir())}
    reported = any(trees.folder.rglob(f"{RESULTS}.jsonl"))
    order = [None, *(names[task_id] for task_id in trees.task_ids), None]
    for task_id, page in pages.items():
        searches_first = sorted(trees.of(task_id), key=lambda tree: (_is_control(tree), -len(tree.nodes)))
        place = order.index(names[task_id])
        beside = {"previous": order[place - 1], "next": order[place + 1]}
        links = {word: name for word, name in beside.items() if name in there and name is not None}
        links |= {"report": "../report.html"} if reported else {}
        page.write_text(tree_page(searches_first, verdicts, links), encoding="utf-8")
    return pages


def _is_control(tree: SearchTree) -> bool:
    return name_of(tree.agent).startswith(("greedy", "best_of_n"))
