import json
import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from o1coder_gym.agents import Tree
from o1coder_gym.errors import UsageError
from o1coder_gym.problems.hidden_tests import HiddenVerdict, candidate_name
from o1coder_gym.process_data.search_tree import NodeParting, SearchTree, TreeNode
from o1coder_gym.reporting.pages.page import asset, html_page
from o1coder_gym.reporting.pages.tree_page import notebook_cell, tree_page
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, AssertTest, CallTest, Outcome, Problem, State, Step, Usage

EVIL = "</script><script>document.title = 'taken'</script><b>&amp;"
PROBLEM = Problem("p/1", f"add {EVIL}", "f", (CallTest("[1, 2]", "3"), AssertTest("assert f(0, 0) == 0")))


def tree(agent: str = "mcts") -> SearchTree:
    """A plan and a refinement, then a right and a wrong program: v(plan) = (1 + 0.5) / 2."""
    nodes = (
        TreeNode(None, None, visits=2, value=0.75),
        TreeNode(0, Step(ActionType.DEFINE, f"plan {EVIL}"), 1, 2, 0.75, tokens=9, logprob=-2.5, score=0.25),
        TreeNode(1, Step(ActionType.REFINE, "### Step 9 (sly)"), born=1, visits=2, value=0.75),
        TreeNode(2, Step(ActionType.CODE, "right = 1"), 1, 1, 1.0, end=1.0, outcome=Outcome.PASS, bits="11"),
        TreeNode(
            2, Step(ActionType.CODE, "wrong = 1"), 2, 1, 0.5, end=0.5, outcome=Outcome.WRONG_ANSWER, bits="01"
        ),
    )
    trace = ((1, 3, 1.0), (2, 4, 0.5))
    return SearchTree(PROBLEM, agent, 0, "pseudocode", nodes, trace, chosen=3, usage=Usage(tokens=40))


def large(count: int = 2000, seed: int = 0) -> SearchTree:
    """A random tree with ends at its leaves."""
    generator = random.Random(seed)
    parents: list[int | None] = [None, *(generator.randrange(max(0, i - 300), i) for i in range(1, count))]
    inner = set(parents)
    nodes = tuple(
        TreeNode(
            parent,
            None
            if parent is None
            else Step(ActionType.REFINE if i in inner else ActionType.CODE, f"step {i}"),
            born=i,
            visits=1,
            value=generator.random(),
        )
        for i, parent in enumerate(parents)
    )
    return replace(tree(), nodes=nodes, trace=(), chosen=None)


def data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_has_all_of_the_tree_and_nothing_from_elsewhere():
    hidden = {("p/1", candidate_name("right = 1")): HiddenVerdict(Outcome.PASS, 7, 7)}
    page = tree_page([tree()], hidden)
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|https?://', page)
    shown = data(page)
    assert shown["problem"] == {
        "task_id": "p/1",
        "prompt": PROBLEM.prompt,
        "tests": ["f(1, 2) == 3", "f(0, 0) == 0"],
    }
    (one,) = shown["trees"]
    assert one["nodes"]["text"][3:] == ["right = 1", "wrong = 1"]
    assert one["nodes"]["bits"] == ["", "", "", "11", "01"]
    assert one["nodes"]["value"] == [0.75, 0.75, 0.75, 1.0, 0.5]
    assert one["trace"] == [[1, 2], [3, 4], [1.0, 0.5]]
    assert one["hidden"] == {"outcome": "pass", "passed": 7, "total": 7}


def with_accidents() -> SearchTree:
    """The tree with a program that the budget cut below its plan; the refinement is the agent's note."""
    one = tree()
    cut = TreeNode(1, Step(ActionType.CODE, "half = "), born=2, tokens=70, finish="budget")
    noted = replace(one.nodes[2], author="agent")
    return replace(one, nodes=(*one.nodes[:2], noted, *one.nodes[3:], cut))


def test_the_page_says_how_a_step_came_about():
    (one,) = data(tree_page([with_accidents()]))["trees"]
    assert one["nodes"]["origin"] == {"2": "note of the agent", "5": "cut by the budget"}
    assert one["nodes"]["cut"] == [5]


def test_a_cut_sample_is_no_failing_code(ask):
    told = ask(
        tree_page([with_accidents()]),
        """select(0, 5);
        const details = document.getElementById("details").textContent;
        const told = [details.includes("cut by the budget"), headline(view.panes[0].tree, 5)];
        for (const kind of ["fail", "cut"]) {
          document.getElementById("kind").value = kind; setFilter();
          told.push(document.getElementById("matches").textContent);
        }
        return told;""",
    )
    assert told == [True, "cut by the budget · half =", "1 of 6", "1 of 6"]


def test_texts_of_a_model_stay_texts():
    page = tree_page([tree()])
    assert "<script>document" not in page
    assert data(page)["trees"][0]["nodes"]["text"][1] == f"plan {EVIL}"


def test_the_prompt_of_a_node_is_the_prompt_that_the_model_saw():
    view = data(tree_page([tree()]))
    told, said = view["formats"]["pseudocode"], view["trees"][0]["nodes"]["say"]
    for node, path in ((0, []), (1, [1]), (2, [1, 2])):
        prompt = PSEUDOCODE.prompt(PROBLEM, tree().state(node))
        assert [tuple(turn) for turn in told["messages"]] == list(prompt.messages)
        steps = "".join(said[str(index)] + "\n\n" for index in path)
        assert steps + told["tails"][str(len(path))] == prompt.prefill


def test_trees_of_several_problems_are_refused():
    other = replace(tree(), problem=Problem("p/2", "?"))
    with pytest.raises(UsageError, match="p/2"):
        tree_page([tree(), other])
    with pytest.raises(UsageError, match="none"):
        tree_page([])


def test_notebooks_get_a_frame():
    assert tree()._repr_html_() == notebook_cell(tree())
    assert notebook_cell(tree()).startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "srcdoc" in Tree(State("p"))._repr_html_()


def test_the_page_opens_and_shows_the_answer(ask):
    answer = ask(
        tree_page([tree(), tree("beam")]),
        """
        const text = () => document.getElementById("details").textContent;
        const seen = {title: document.title, first: text(), agents: find("agent-0").options.length};
        select(0, 1); seen.plan = text();
        find("agent-1").value = 1; find("agent-1").dispatchEvent(new Event("change"));
        seen.panes = document.querySelectorAll(".pane canvas").length;
        setTime(1); seen.early = frameAt(view.panes[0].tree, 1).value[1];
        setTime(2); seen.late = frameAt(view.panes[0].tree, 2).value[1];
        find("query").value = "WRONG"; setFilter(); seen.matches = find("matches").textContent;
        return seen;
        """,
    )
    assert answer["title"] == "p/1 · search tree"
    assert "right = 1" in answer["first"]
    assert "f(1, 2) == 3" in answer["first"]
    assert EVIL in answer["plan"]
    assert "0.250" in answer["plan"]  # the PRM's value
    assert answer["agents"] == answer["panes"] == 2
    assert (answer["early"], answer["late"]) == (1.0, 0.75)
    assert answer["matches"] == "2 of 10"


def test_a_click_selects_and_the_keyboard_walks(ask):
    answer = ask(
        tree_page([tree()]),
        """
        await new Promise(requestAnimationFrame);
        const pane = view.panes[0], [x, y] = pane.at(4), place = pane.canvas.getBoundingClientRect();
        const at = {clientX: x + place.left, clientY: y + place.top, pointerId: 1, bubbles: true};
        pane.canvas.setPointerCapture = () => {};
        pane.canvas.dispatchEvent(new PointerEvent("pointerdown", at));
        pane.canvas.dispatchEvent(new PointerEvent("pointerup", at));
        const clicked = view.node, walk = [];
        for (const key of ["ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowRight", "Home"]) {
          pane.canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
          walk.push(view.node);
        }
        return {clicked, walk};
        """,
    )
    assert answer == {"clicked": 4, "walk": [3, 2, 1, 2, 0]}


def test_two_thousand_nodes_are_drawn(ask):
    answer = ask(
        tree_page([large()]),
        """
        view.panes[0].draw();
        const {canvas, pen} = view.panes[0];
        const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        let inked = 0;
        for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
        return {inked, nodes: view.panes[0].tree.count,
                ready: Number(document.documentElement.dataset.ready) >= 0};
        """,
    )
    assert answer["nodes"] == 2000
    assert answer["ready"]
    assert answer["inked"] > 20_000


def test_the_layout_is_tidy(ask):
    page = html_page("layout", "", styles=(), scripts=("tidy.js",), data={})
    parents = [
        [node.parent for node in large(count, seed).nodes] for count, seed in ((1, 0), (40, 1), (900, 2))
    ]
    layouts = ask(
        page,
        f"""
        return {json.dumps(parents)}.map((parents) => {{
          const children = parents.map(() => []);
          parents.forEach((parent, v) => {{ if (parent !== null) children[parent].push(v); }});
          return [...tidy(children, (a, b) => (parents[a] === parents[b] ? 1 : 1.5))];
        }});
        """,
    )
    for above, places in zip(parents, layouts, strict=True):
        assert min(places) == 0
        _check_layout(above, places)
    assert "Buchheim" in asset("tidy.js")


def _check_layout(parents: list, places: list[float]) -> None:
    """Parents are centred; on each level the order is kept and neighbours are apart."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(node)
    level = [0]
    while level:
        for left, right in pairwise(level):
            gap = 1 if parents[left] == parents[right] else 1.5
            assert places[right] - places[left] >= gap - 1e-6
        for node in level:
            if below := children[node]:
                assert places[node] == pytest.approx((places[below[0]] + places[below[-1]]) / 2)
        level = [child for node in level for child in children[node]]


def test_an_answer_without_tests_is_neither_right_nor_wrong():
    code = TreeNode(0, Step(ActionType.CODE, "right = 1"), outcome=Outcome.NO_TESTS)
    bare = replace(tree(), nodes=(TreeNode(None, None), code), trace=(), chosen=1)
    hidden = {("p/1", candidate_name("right = 1")): HiddenVerdict(Outcome.PASS, 0, 0)}
    (one,) = data(tree_page([bare], hidden))["trees"]
    assert one["hidden"] == {"outcome": "no_tests", "passed": 0, "total": 0}
    assert (one["nodes"]["outcome"], one["nodes"]["value"]) == ([None, "no_tests"], [None, None])
    script = asset("tree.js")
    assert 'no_tests: "soft"' in script
    assert '"no hidden tests"' in script


def test_attacks_are_shown_where_they_part():
    partings = (NodeParting("[1, 1]", (("2", (3,), 5), (EVIL, (4,), None)), "2", 0.75),)
    page = tree_page([replace(tree(), partings=partings)])
    assert EVIL not in page
    (row,) = data(page)["trees"][0]["partings"]
    assert row == {
        "input": "[1, 1]",
        "outputs": [["2", [3], 5], [EVIL, [4], None]],
        "right": "2",
        "confidence": 0.75,
    }


def test_the_page_opens_and_shows_attacks(ask):
    outputs = (("2", (3,), 2), ("3", (4,), None), ("4", (), 3), ("5", (), None))
    partings = (NodeParting("[1, 1]", outputs, "2", 0.75),)
    answer = ask(
        tree_page([replace(tree(), partings=partings)]),
        """
        const told = [0, 3, 4].map((node) => {
          select(0, node);
          const items = document.querySelectorAll("#details .attacks .tests > li");
          return [...items].map((item) => [...item.children].filter((part) => !part.matches(".path"))
            .map((part) => part.textContent).join(""));
        });
        select(0, 0);
        const links = document.querySelectorAll("#details .attacks .path button");
        links[1].click();
        return [told, links.length, view.node];
        """,
    )
    right, wrong = "✓[1, 1] → 2 2 programs, taken for right by 75 %", "✗[1, 1] → 3 1 program"
    others = ["✗[1, 1] → 4 3 programs", "✗[1, 1] → 5 programs without a node"]  # never "0 programs"
    assert answer == [[[right, wrong, *others], [right], [wrong]], 2, 4]
