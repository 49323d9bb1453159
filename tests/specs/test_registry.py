"""The registry: what is built in resolves, plug-ins join, and those that are broken harm nobody else."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from o1coder_gym.agents import AGENTS, load_agent
from o1coder_gym.errors import MissingExtraError, PluginError, UnknownNameError, UsageError
from o1coder_gym.policies import ScriptedPolicy, load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.benchmarks import NATIVE, converter_for
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.rewards import load_schedule
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import registry
from o1coder_gym.specs.parameters import parameters
from o1coder_gym.steps.choices import load_embedding
from o1coder_gym.steps.formats import FORMATS, PSEUDOCODE, load_format
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.types import GeneratedTests, Problem, State

Install = Callable[..., None]

MODULE = '''
from o1coder_gym.steps.formats import PseudocodeFormat
from o1coder_gym.policies import ScriptedPolicy
from o1coder_gym.problems.benchmarks import RowFormat, native
from o1coder_gym.types import GeneratedTests, SearchResult

NUMBER = 3
FORMAT = PseudocodeFormat("mine")
ROWS = RowFormat(frozenset({"exercise"}), lambda raw, origin: native(raw["exercise"], origin))

def agent(problem, root, *, depth: int = 1):
    """Does nothing."""
    raise RuntimeError("an agent must not run when its spec is loaded")
    yield

def policy(target, step_format, *, seed: int = 0):
    """Says nothing."""
    return ScriptedPolicy({}, draw="cycle" if seed else "random", step_format=step_format)

def scorer(*, level: float = 0.5):
    """Always the same."""
    return Flat(level)

class Flat:
    def __init__(self, level): self.level = level
    def score(self, items, /): return [self.level for _ in items]

def generator(judge, *, count: int = 1):
    """Makes no tests."""
    return Empty()

class Empty:
    def generate(self, problem, n, reference=None, seed=0): return GeneratedTests(())

def schedule(t, *, slope: float): return slope * t
def executor(work, pieces, *, workers: int = 5): return map(work, pieces)
def embedding(text, *, scale: float = 1.0): return scale * len(text)
def number(): return 3
def earlier_policy(rest, step_format): return (rest, step_format.name)
def earlier_generator(spec, judge, solutions): return spec
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with a module `plugged_NAME` and entry points, by group."""

    def run(name: str, *, module: str = MODULE, **groups: dict[str, str]) -> None:
        place = tmp_path / name
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (place / f"plugged_{name}.py").write_text(module)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = []
        for group, points in groups.items():
            lines += [
                f"[o1coder_gym.{group}]",
                *(f"{key} = plugged_{name}:{path}" for key, path in points.items()),
            ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(place)
        monkeypatch.delitem(sys.modules, f"plugged_{name}", raising=False)

    return run


@pytest.fixture(autouse=True)
def forget_scorers() -> None:
    load_scorer.cache_clear()
    load_embedding.cache_clear()


def test_everything_built_in_resolves_and_is_documented() -> None:
    for kind in registry.KINDS:
        known = [found[0] for found in registry.entries(kind).values() if not found[0].group]
        assert known
        for entry in known:
            assert entry.summary(), entry
            for parameter in entry.parameters():
                assert parameter.meaning or not parameter.readable, (entry.name, parameter.name)


def test_each_kind_can_be_added_to(install: Install) -> None:
    kinds = ("agent", "policy", "scorer", "generator", "schedule", "executor", "embedding")
    points = {f"{kind}.mine": kind for kind in kinds}
    install("kit", plugins=points | {"format.mine": "FORMAT", "problems.mine": "ROWS"})
    assert load_agent("mine?depth=-2").keywords == {"depth": -2}  # pyright: ignore
    policy = load_policy("mine:anything?seed=1")
    assert isinstance(policy, ScriptedPolicy)
    assert policy.draw == "cycle"
    assert load_scorer("mine?level=0.25").score([(Problem("p", ""), State("p"))]) == [0.25]
    judge = default_judge()
    assert load_generator("mine?count=2", judge).generate(Problem("p", ""), 1) == GeneratedTests(())
    assert load_schedule("mine?slope=0.5")(3) == 1.5
    run, workers = load_executor("mine")
    assert (list(run(abs, [-1])), workers) == ([1], 1)
    assert load_executor("mine?workers=2")[1] == 2
    assert load_embedding("mine?scale=2")("ab") == 4.0
    assert load_format("mine").name == "mine"
    assert converter_for({"exercise": {}}) is not NATIVE.convert


def test_a_problem_file_of_a_plug_in_s_format_is_read(install: Install, tmp_path: Path) -> None:
    install("kit", plugins={"problems.mine": "ROWS"})
    row = {"task_id": "a", "prompt": "?", "entry_point": "f", "meta": {}}
    row |= {"public_tests": [], "tests": [{"kind": "call", "args": "[1]", "expected": "1"}]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"exercise": row}) + "\n")
    assert [found.problem.task_id for found in load_rows(path)] == ["a"]


def test_earlier_groups_are_read_and_called_as_before(install: Install) -> None:
    points = {"agents": {"old": "agent"}, "policies": {"old": "earlier_policy"}}
    install("kit", **points, generators={"old": "earlier_generator"})
    assert load_agent("old:depth=2").keywords == {"depth": 2}  # pyright: ignore
    assert load_policy("old:a?b=c#d", format="vanilla") == ("a?b=c#d", "vanilla")
    assert load_generator("old:x?y", default_judge()) == "old:x?y"
    assert load_generator("old?y", default_judge()) == "old?y"


def test_one_object_in_both_groups_is_one_agent(install: Install) -> None:
    install("kit", plugins={"agent.mine": "agent"}, agents={"mine": "agent"})
    assert load_agent("mine") is load_agent("mine:")


def test_a_broken_import_is_told_by_name_and_harms_nobody_else(install: Install) -> None:
    install(
        "broken", module="import nothing_of_that_name\n", plugins={"agent.bad": "agent", "problems.bad": "x"}
    )
    install("quits", module="raise SystemExit('bye\\nbye')\n", plugins={"agent.quits": "agent"})
    with pytest.raises(PluginError) as caught:
        load_agent("bad?depth=1")
    assert str(caught.value) == (
        "plug-in agent.bad of broken 1.0 (plugged_broken:agent) cannot be loaded: "
        "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    )
    with pytest.raises(PluginError, match=r"agent\.quits of quits 1\.0 .*SystemExit: bye bye$"):
        load_agent("quits")
    assert load_agent("greedy") is AGENTS["greedy"]
    with pytest.warns(RuntimeWarning, match=r"problems\.bad of broken 1\.0"):
        assert converter_for({"task_id": "x"}) is NATIVE.convert
    assert converter_for({"code": "", "test_list": []}) is not NATIVE.convert


def test_an_object_of_the_wrong_type_is_told(install: Install) -> None:
    wrong = {
        "agent.number": "NUMBER",
        "agent.short": "number",
        "schedule.none": "number",
        "format.f": "NUMBER",
    }
    install("kit", plugins=wrong | {"policy.p": "number", "scorer.s": "number", "generator.g": "number"})
    cases: list[tuple[Callable[[str], object], str, str]] = [
        (
            load_agent,
            "number",
            r"agent\.number of kit 1\.0 \(plugged_kit:NUMBER\) is a int; expected a function",
        ),
        (load_agent, "short", r"is called otherwise; expected a function \(problem, root, …\)"),
        (load_schedule, "none", r"expected a function \(t, …\)"),
        (load_format, "f", r"is a int without prompt, render, parse, complaint, boundary"),
    ]
    for load, name, message in cases:
        with pytest.raises(PluginError, match=message):
            load(name)
    with pytest.raises(UsageError, match="has no propose method"):
        load_policy("p")
    with pytest.raises(UsageError, match="made a int, which has no score method"):
        load_scorer("s")
    with pytest.raises(UsageError, match="has no generate method"):
        load_generator("g", default_judge())


def test_a_name_offered_twice_is_refused_with_both_origins(install: Install) -> None:
    install("one", plugins={"agent.mine": "agent", "agent.greedy": "agent", "problems.mbpp": "ROWS"})
    install("two", plugins={"agent.mine": "agent"}, agents={"alone": "agent"})
    with pytest.raises(
        PluginError, match=r"'mine' is offered by two 1\.0 .* and one 1\.0 \(plugged_one:agent\)"
    ):
        load_agent("mine")
    with pytest.raises(PluginError, match=r"'greedy' is offered by o1coder-gym \(.*greedy\) and one 1\.0"):
        load_agent("greedy")
    assert callable(load_agent("alone"))
    assert callable(load_agent("mcts"))
    with pytest.warns(RuntimeWarning, match="'mbpp' is offered by o1coder-gym"):
        assert converter_for({"code": "", "test_list": []}) is not NATIVE.convert


def test_a_plug_in_of_no_kind_is_told_by_the_list_alone(install: Install) -> None:
    install("kit", plugins={"agnet.mine": "agent", "mine": "agent", "agent.": "agent"})
    assert [line.split(" of ")[0] for line in registry.misnamed()] == [
        "plug-in agnet.mine",
        "plug-in mine",
        "plug-in agent.",
    ]
    assert callable(load_agent("mcts"))


def test_loading_a_spec_runs_nothing_of_an_agent(install: Install) -> None:
    install("kit", plugins={"agent.mine": "agent"})
    agent = load_agent("mine?depth=3&select=codet")
    with pytest.raises(RuntimeError, match="must not run"):
        next(agent(Problem("p", ""), State("p")))


def test_registering_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(problem: Problem, root: State, *, depth: int = 1) -> None: ...

    with monkeypatch.context() as patched:
        patched.setitem(AGENTS, "mine", mine)
        assert load_agent("mine") is mine
        assert "mine" in AGENTS
        with pytest.raises(PluginError, match="'mine' is offered by this process"):
            registry.register("agent", "mine", mine)
    with pytest.raises(PluginError, match="'mcts' is offered by o1coder-gym"):
        AGENTS["mcts"] = mine
    with pytest.raises(UnknownNameError, match="unknown agent 'mine'"):
        load_agent("mine")
    with pytest.raises(UnknownNameError, match="unknown kind 'agents'"):
        registry.register("agents", "mine", mine)
    assert dict(FORMATS)["pseudocode"] is PSEUDOCODE


def test_what_takes_no_target_refuses_one() -> None:
    with pytest.raises(UsageError, match="heuristic takes no target after a colon, got 'x'"):
        load_scorer("heuristic:x")
    with pytest.raises(UsageError, match="serial takes no target after a colon"):
        load_executor("serial:2?")
    with pytest.raises(UsageError, match="write prm:TARGET"):
        load_scorer("prm")


def test_importable_factories_take_arguments(install: Install) -> None:
    install("kit")
    assert load_scorer("plugged_kit:scorer?level=0.75").score([(Problem("p", ""), State("p"))]) == [0.75]
    assert load_embedding("plugged_kit:embedding?scale=3")("ab") == 6.0
    with pytest.raises(
        UnknownNameError, match=r"unknown argument 'levle'; did you mean 'level'\? Known: level"
    ):
        load_scorer("plugged_kit:scorer?levle=1")
    with pytest.raises(UsageError, match="not a function whose parameters can be read"):
        load_scorer("plugged_kit:NUMBER")


def test_reading_parameters_imports_no_torch() -> None:
    program = (
        "import importlib.metadata, sys; importlib.metadata.entry_points = lambda group: []\n"
        "from o1coder_gym.specs import registry\n"
        "print('o1coder_gym.agents' in sys.modules, 'o1coder_gym.policies' in sys.modules)\n"
        "for kind in registry.KINDS:\n"
        "    for (entry,) in registry.entries(kind).values(): entry.parameters()\n"
        "print(sorted({'torch', 'transformers', 'stable_baselines3', 'ray', 'vllm'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["False False", "[]", ""]


def test_the_trained_chooser_is_an_agent_that_needs_its_folder() -> None:
    from o1coder_gym.agents.registry import choice_ppo

    assert [(one.name, one.default) for one in parameters(choice_ppo)] == [("path", inspect.Parameter.empty)]


def test_a_missing_extra_is_no_fault_of_the_plug_in(install: Install) -> None:
    module = "from o1coder_gym.errors import MissingExtraError\nraise MissingExtraError('torch', 'hf')\n"
    install("kit", module=module, plugins={"agent.mine": "agent"})
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[hf\]"):
        load_agent("mine")
