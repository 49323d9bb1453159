"""The registry: agents, policies, scorers, … by name, those of this project and of installed packages.

What is built in is listed by dotted path and imported when it is asked for. Another package adds to a kind
by an entry point of the group ``o1coder_gym.plugins``, whose name says kind and name::

    [project.entry-points."o1coder_gym.plugins"]
    "agent.widest" = "my_package.agents:widest"

The arguments of a spec are parameters of the function that is registered, checked before it is called:

==============  ===============================================================  =========================
kind            what is registered                                               its arguments
==============  ===============================================================  =========================
``agent``       ``(problem, root, *, …) -> Search``                              keyword-only parameters
``policy``      ``(target, step_format, …) -> Policy``                           all other parameters
``scorer``      ``(target, …) -> StepScorer``                                    all other parameters
``generator``   ``(target, judge, solutions, …) -> TestGenerator``               all other parameters
``schedule``    ``(t, *, …) -> float``                                           keyword-only parameters
``executor``    ``(work, pieces, *, …) -> Iterator``                             keyword-only parameters
``embedding``   ``(text, *, …) -> vector``                                       keyword-only parameters
``format``      a `StepFormat`                                                   none
``problems``    a `RowFormat`                                                    none
==============  ===============================================================  =========================

A policy, scorer or generator takes those of the named parameters that it needs; one without `target` is
named without ``:``. Names offered twice and objects that cannot be used are refused when they are asked
for, and disturb no others.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from o1coder_gym.errors import O1CoderError, PluginError, UnknownNameError, UsageError
from o1coder_gym.importing.own_code import is_place, load_object
from o1coder_gym.parameters import NO_HINTS, Hints, Parameter, bind, parameters
from o1coder_gym.specs import Spec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGINS = "o1coder_gym.plugins"
"""Group of entry points under which packages offer things of any kind."""

PROJECT = "o1coder-gym"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that has names.

    Attributes:
        name: In entry points.
        noun: In messages.
        plural: On the command line.
        passed: What the registered function is called with beside its arguments; empty if it is no function.
        told: Keywords that the caller adds for functions that take them.
        makes: Whether the function makes the thing; otherwise it is the thing.
        methods: What an object that is no function must have.
        group: Group of entry points of this kind alone, from before there was `PLUGINS`.
        hints: Dotted path of what signatures do not say.
        colon: Whether names are listed with the colon that a target follows.
        otherwise: What else a spec may be: an importable object, in words; empty if nothing else.
        note: For people who look at the list.
    """

    name: str
    noun: str
    plural: str
    passed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    makes: bool = False
    methods: tuple[str, ...] = ()
    group: str = ""
    hints: str = ""
    colon: bool = False
    otherwise: str = ""
    note: str = ""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "agent",
                "agent",
                "agents",
                ("problem", "root"),
                told=("context",),
                group="o1coder_gym.agents",
                hints="o1coder_gym.agents.registry:HINTS",
                note="Any agent: select=public, tests, codet, codet-sqrt, majority, prm_last, prm_min, "
                "prm_product or prm_mean says which of its programs is the answer; a second one breaks ties.",
            ),
            Kind(
                "policy",
                "policy",
                "policies",
                ("target", "step_format"),
                makes=True,
                group="o1coder_gym.policies",
                colon=True,
            ),
            Kind(
                "scorer",
                "scorer",
                "scorers",
                ("target",),
                makes=True,
                otherwise="neither heuristic, nor prm:NAME, nor an importable 'package.module:factory'",
                note="package.module:factory names a factory of your own.",
            ),
            Kind(
                "generator",
                "test generator",
                "generators",
                ("target", "judge", "solutions"),
                makes=True,
                group="o1coder_gym.generators",
                note="A policy's spec names its language model as a generator: hf:FOLDER, for example.",
            ),
            Kind("schedule", "schedule", "schedules", ("t",), note="A number alone is a constant schedule."),
            Kind("executor", "executor", "executors", ("work", "pieces")),
            Kind(
                "embedding",
                "embedding",
                "embeddings",
                ("text",),
                otherwise="neither hash?dimensions=D (hash:D) nor an importable 'package.module:function'",
                note="package.module:function names a function of your own.",
            ),
            Kind(
                "format",
                "step format",
                "formats",
                methods=("prompt", "render", "parse", "complaint", "boundary"),
            ),
            Kind(
                "problems",
                "problem format",
                "problems",
                methods=("fields", "convert"),
                note="The format of a problem file is told by the fields of its first row.",
            ),
        )
    }
)

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "agent": {
        "greedy": "o1coder_gym.agents.greedy:greedy",
        "epsilon_greedy": "o1coder_gym.agents.greedy:epsilon_greedy",
        "random": "o1coder_gym.agents.greedy:random_steps",
        "best_of_n": "o1coder_gym.agents.best_of_n:best_of_n",
        "best_of_n_random": "o1coder_gym.agents.best_of_n:best_of_n_random",
        "beam": "o1coder_gym.agents.beam:beam",
        "diverse_beam": "o1coder_gym.agents.beam:diverse_beam",
        "mcts": "o1coder_gym.agents.mcts:mcts",
        "puct": "o1coder_gym.agents.mcts:puct",
        "ab_mcts": "o1coder_gym.agents.ab_mcts:ab_mcts",
        "self_repair": "o1coder_gym.agents.self_repair:self_repair",
    },
    "policy": {
        "fake": "o1coder_gym.policies.loading:fake",
        "hf": "o1coder_gym.policies.loading:hf",
        "openai": "o1coder_gym.policies.loading:openai",
        "scripted": "o1coder_gym.policies.loading:scripted",
        "vllm": "o1coder_gym.policies.loading:vllm",
    },
    "scorer": {
        "heuristic": "o1coder_gym.prm.heuristic:HeuristicScorer",
        "prm": "o1coder_gym.prm.loading:model_scorer",
    },
    "generator": {"mutation": "o1coder_gym.tcg.loading:mutation"},
    "schedule": {
        "constant": "o1coder_gym.rewards:constant",
        "linear": "o1coder_gym.rewards:linear",
        "logarithmic": "o1coder_gym.rewards:logarithmic",
    },
    "executor": {
        "serial": "o1coder_gym.runs.executors:serial",
        "processes": "o1coder_gym.runs.executors:processes",
        "ray": "o1coder_gym.runs.executors:ray",
    },
    "embedding": {"hash": "o1coder_gym.steps.choices:hashed_words"},
    "format": {
        "functions": "o1coder_gym.steps.functions:FUNCTIONS",
        "pseudocode": "o1coder_gym.steps.formats:PSEUDOCODE",
        "vanilla": "o1coder_gym.steps.formats:VANILLA",
    },
    "problems": {
        "bigcodebench": "o1coder_gym.problems.formats.functions:BIGCODEBENCH",
        "humaneval+": "o1coder_gym.problems.benchmarks:HUMANEVAL_PLUS",
        "mbpp+": "o1coder_gym.problems.benchmarks:MBPP_PLUS",
        "humaneval": "o1coder_gym.problems.benchmarks:HUMANEVAL",
        "mbpp": "o1coder_gym.problems.benchmarks:MBPP",
        "humaneval-pro": "o1coder_gym.problems.formats.functions:PRO",
        "kodcode": "o1coder_gym.problems.formats.functions:KODCODE",
        "acecode": "o1coder_gym.problems.formats.functions:ACECODE",
        "leetcode": "o1coder_gym.problems.formats.leetcode:LEETCODE",
        "livecodebench": "o1coder_gym.problems.formats.livecodebench:LIVECODEBENCH",
        "livecodebench-verified": "o1coder_gym.problems.formats.livecodebench:LIVECODEBENCH_VERIFIED",
        "codecontests+": "o1coder_gym.problems.formats.contests:CODECONTESTS_PLUS",
        "codecontests-o": "o1coder_gym.problems.formats.contests:CODECONTESTS_O",
        "codecontests": "o1coder_gym.problems.formats.contests:CODECONTESTS",
        "codeforces": "o1coder_gym.problems.formats.contests:CODEFORCES",
        "taco": "o1coder_gym.problems.formats.apps:TACO",
        "apps": "o1coder_gym.problems.formats.apps:APPS",
        "prime-intellect": "o1coder_gym.problems.formats.verifiable:PRIME_INTELLECT",
        "deepcoder": "o1coder_gym.problems.formats.verifiable:DEEPCODER",
        "rstar": "o1coder_gym.problems.formats.verifiable:RSTAR",
        "verl": "o1coder_gym.problems.formats.training:VERL",
        "nemo-gym": "o1coder_gym.problems.formats.training:NEMO_GYM",
        "cruxeval": "o1coder_gym.problems.formats.predictions:CRUXEVAL",
        "cruxeval-input": "o1coder_gym.problems.formats.predictions:CRUXEVAL_INPUT",
        "native": "o1coder_gym.problems.formats.telling:NATIVE",
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something registered.

    Attributes:
        kind: A key of `KINDS`.
        name: What specs call it.
        path: Dotted path of the object, ``package.module:object``.
        origin: Who registered it: a distribution and its version.
        group: Group of entry points that it comes from; empty if it is no plug-in.
        load: Imports the object; raises whatever the import raises.
    """

    kind: str
    name: str
    path: str
    origin: str
    group: str = field(default="", compare=False)
    load: Callable[[], Any] = field(repr=False, compare=False, default=lambda: None)

    @property
    def earlier(self) -> bool:
        """Whether it comes from a group of one kind alone, whose objects may be called differently."""
        return self.group not in ("", PLUGINS)

    def object(self) -> Any:
        """Returns the object, imported now.

        Raises:
            PluginError: When it cannot be imported, or is not what its kind needs.
            MissingExtraError: When it says so itself.
        """
        where = f"plug-in {self.kind}.{self.name} of {self.origin} ({self.path})" if self.name else self.path
        try:
            found = self.load()
        except O1CoderError:
            raise
        except (Exception, SystemExit) as error:  # the code of others may raise anything
            if not self.group:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{where} cannot be loaded: {reason}") from error
        if self.group and (wrong := _wrong(KINDS[self.kind], found, self.earlier)):
            raise PluginError(f"{where} is {wrong}")
        return found

    def parameters(self) -> tuple[Parameter, ...]:
        """Returns what its specs may say; the target is not among it."""
        kind, found = KINDS[self.kind], self.object()
        if not kind.passed or (self.earlier and kind.makes):
            return ()
        passed = (*kind.passed, *kind.told)
        return parameters(found, passed=passed, keyword_only=not kind.makes, hints=_hints(kind))

    def takes_target(self) -> bool:
        """Whether something follows its name after a colon."""
        kind = KINDS[self.kind]
        if self.earlier and kind.makes:
            return True
        return "target" in kind.passed and "target" in inspect.signature(self.object()).parameters

    def summary(self) -> str:
        """Returns the first line of its docstring; that of the converter for a problem format."""
        found = self.object()
        return (inspect.getdoc(getattr(found, "convert", found)) or "").partition("\n")[0]


_registered: dict[tuple[str, str], Entry] = {}
"""What this process has registered itself."""


class BuiltIn(MutableMapping[str, Any]):
    """The built-in objects of a kind by name, and those registered in this process; not those of plug-ins."""

    def __init__(self, kind: str) -> None:
        """Args: a key of `KINDS`."""
        self._kind = kind

    def __getitem__(self, name: str) -> Any:
        """Returns the object, imported now."""
        return (_own(self._kind) | _local(self._kind))[name].object()

    def __setitem__(self, name: str, value: Any) -> None:
        """Registers an object for this process; see `register`."""
        register(self._kind, name, value)

    def __delitem__(self, name: str) -> None:
        """Takes back what this process has registered."""
        del _registered[self._kind, name]

    def __iter__(self) -> Iterator[str]:
        """Yields the names, in order of registration."""
        return iter(_own(self._kind) | _local(self._kind))

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(_own(self._kind) | _local(self._kind))


def register(kind: str, name: str, value: Any) -> None:
    """Registers an object for this process, for notebooks and tests; packages use entry points.

    Raises:
        PluginError: When the name is taken; names both origins.
        UnknownNameError: When there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    path = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__name__)}"
    entry = Entry(kind, name, path, "this process", load=lambda: value)
    if taken := entries(kind).get(name):
        raise PluginError(_twice(kind, name, (*taken, entry)))
    _registered[kind, name] = entry


def entries(kind: str) -> dict[str, tuple[Entry, ...]]:
    """Returns all that is registered of a kind, by name; more than one entry a name is a conflict."""
    found: dict[str, tuple[Entry, ...]] = {
        name: (entry,) for name, entry in (_own(kind) | _local(kind)).items()
    }
    for entry in _plugins(tuple(sys.path))[0]:
        if entry.kind == kind and entry not in found.get(entry.name, ()):
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def misnamed() -> tuple[str, ...]:
    """Returns what is wrong with the names of plug-ins that belong to no kind, a line each."""
    return _plugins(tuple(sys.path))[1]


def find(kind: str, name: str, *, where: str = "") -> Entry:
    """Returns what is registered under a name.

    Raises:
        UnknownNameError: When there is nothing; lists what there is.
        PluginError: When there is more than one; names all origins.
    """
    known = entries(kind)
    if name not in known:
        shown = [f"{one}:" for one in known] if KINDS[kind].colon else known
        raise UnknownNameError(KINDS[kind].noun, name, shown, where=where)
    if len(known[name]) > 1:
        raise PluginError(_twice(kind, name, known[name]))
    return known[name][0]


def usable(kind: str) -> Iterator[tuple[str, Any]]:
    """Yields name and object of all of a kind that work, this project's first; warns of the others."""
    for name, (first, *others) in entries(kind).items():
        if others:
            warnings.warn(_twice(kind, name, (first, *others)), RuntimeWarning, stacklevel=2)
        if others and first.group:
            continue  # a name of this project's keeps its meaning; of two strangers neither is right
        try:
            yield name, first.object()
        except PluginError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)


def make(kind: str, spec: Spec, shown: str, **context: Any) -> Any:
    """Makes what a spec names: calls the registered function with what it takes of `context`.

    Args:
        kind: One whose functions make things.
        spec: What was asked for.
        shown: The spec as the user wrote it, for messages.
        context: What the caller has for it: `KINDS[kind].passed`, the target aside.

    Raises:
        UnknownNameError: When the name, or a key, is not known.
        UsageError: When an argument or the target makes no sense.
        PluginError: When a plug-in cannot be used.
    """
    entry, spec = entry_of(kind, spec, shown)
    function, where = entry.object(), f"{KINDS[kind].noun} {shown}: "
    takes = _signature(function, where).parameters
    if "target" not in takes:
        _refuse_target(spec, where)
    elif spec.target:
        context["target"] = spec.target
    elif takes["target"].default is inspect.Parameter.empty:
        raise _without_target(kind, entry.name, shown)
    arguments = bind(entry.parameters(), spec.arguments, where)
    return function(**{name: value for name, value in context.items() if name in takes}, **arguments)


def arguments_of(kind: str, spec: Spec, shown: str) -> tuple[Any, dict[str, Any]]:
    """Returns the function that a spec names and the arguments that it gives; nothing is called.

    Args and errors are those of `make`.
    """
    entry, spec = entry_of(kind, spec, shown)
    function, where = entry.object(), f"{KINDS[kind].noun} {shown}: "
    _refuse_target(spec, where)
    if not entry.name and not spec.arguments:
        return function, {}  # an imported object without arguments is passed on as it is
    return function, bind(entry.parameters(), spec.arguments, where)


def bound(kind: str, spec: Spec, shown: str) -> Any:
    """Returns the function that a spec names with its arguments fixed; see `arguments_of`."""
    function, arguments = arguments_of(kind, spec, shown)
    return partial(function, **arguments) if arguments else function


def entry_of(kind: str, spec: Spec, shown: str) -> tuple[Entry, Spec]:
    """Returns the entry that a spec names, and the spec without the part that says where code stands.

    Args and errors are those of `make`.
    """
    path = spec.name if spec.target is None else f"{spec.name}:{spec.target}"
    if spec.name in entries(kind) or not is_place(path):
        if KINDS[kind].otherwise and spec.name not in entries(kind):
            raise UsageError(f"{KINDS[kind].noun} {shown!r} is {KINDS[kind].otherwise}")
        where = "" if spec.name == shown else f"{KINDS[kind].noun} {shown}: "
        return find(kind, spec.name, where=where), spec
    group = "" if KINDS[kind].otherwise else PLUGINS  # what those make is checked by who asks for it
    return Entry(kind, "", path, "an import", group, partial(load_object, path)), replace(spec, target=None)


def _signature(function: Any, where: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}is no function that can be asked for its parameters: {error}") from error


def _refuse_target(spec: Spec, where: str) -> None:
    if spec.target:
        raise UsageError(f"{where}{spec.name} takes nothing after a colon, got {spec.target!r}")


def _without_target(kind: str, name: str, shown: str) -> UsageError:
    if KINDS[kind].colon:
        return UnknownNameError(KINDS[kind].noun, shown, [f"{one}:" for one in entries(kind)])
    return UsageError(f"{KINDS[kind].noun} {shown!r} says not which: {name}:TARGET is expected")


def _own(kind: str) -> dict[str, Entry]:
    return _built_in_entries()[kind]


@lru_cache(maxsize=1)
def _built_in_entries() -> dict[str, dict[str, Entry]]:
    return {
        kind: {
            name: Entry(kind, name, path, PROJECT, load=partial(pkgutil.resolve_name, path))
            for name, path in paths.items()
        }
        for kind, paths in _BUILT_IN.items()
    }


def _local(kind: str) -> dict[str, Entry]:
    return {name: entry for (of, name), entry in _registered.items() if of == kind}


@lru_cache(maxsize=4)
def _plugins(path: tuple[str, ...]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Reads what installed packages offer, once for each search path; what has no kind is told apart."""
    from importlib.metadata import entry_points  # slow to import, and not needed to import the package

    found: list[Entry] = []
    wrong: list[str] = []
    for point in entry_points(group=PLUGINS):
        kind, dot, name = point.name.partition(".")
        if kind in KINDS and dot and name:
            found.append(_entry(kind, name, point))
        else:
            kinds = ", ".join(KINDS)
            wrong.append(
                f"plug-in {point.name} of {_origin(point)} ({point.value}) starts with none of {kinds}"
            )
    for kind in KINDS.values():
        if kind.group:
            found += [_entry(kind.name, point.name, point) for point in entry_points(group=kind.group)]
    return tuple(found), tuple(wrong)


def _entry(kind: str, name: str, point: EntryPoint) -> Entry:
    return Entry(kind, name, point.value, _origin(point), point.group, point.load)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"


def _twice(kind: str, name: str, found: Sequence[Entry]) -> str:
    origins = " and ".join(f"{entry.origin} ({entry.path})" for entry in found)
    return f"{KINDS[kind].noun} {name!r} is offered by {origins}; remove all but one"


def _hints(kind: Kind) -> Hints:
    return pkgutil.resolve_name(kind.hints) if kind.hints else NO_HINTS


def _wrong(kind: Kind, found: Any, earlier: bool) -> str:
    """Says why a plug-in's object is not of its kind; empty if it is."""
    if not kind.passed:
        missing = [name for name in kind.methods if not hasattr(found, name)]
        return f"a {type(found).__name__} without {', '.join(missing)}" if missing else ""
    expected = f"expected a function ({', '.join(kind.passed)}, …)"
    if not callable(found):
        return f"a {type(found).__name__}; {expected}"
    try:
        signature = inspect.signature(found)
        if not kind.makes:
            signature.bind_partial(*kind.passed)
    except TypeError:
        return f"called otherwise; {expected}"
    except ValueError as error:
        return f"not usable: {error}"
    return ""
