"""All commands: the flags of earlier versions, help, files, what is refused."""

import json
import logging
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from o1coder_gym.cli.commands import command, new_app, settings_of, shown_settings
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.main import COMMANDS, SHELLS, app, main, main_of
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.self_play.config import SelfPlaySettings
from o1coder_gym.process_data.exports import EXPORTS
from o1coder_gym.settings import Checked, Setting, all_settings, read, to_toml
from o1coder_gym.settings.groups import FitRun, RunSettings
from o1coder_gym.specs import registry
from o1coder_gym.specs.parameters import REQUIRED
from tests.command_line import call, find, names_of

EARLIER = json.loads((Path(__file__).parent / "golden" / "flags.json").read_text())
"""Options and arguments by command, as the version before settings classes had them."""


def commands(command: Any = app, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All commands that have settings, by the words that call them."""
    if settings_of(command) is not None:
        yield " ".join(words), command
    for name in command:
        if not name.startswith("-"):
            yield from commands(command[name], (*words, name))


ALL = dict(commands())
KINDS: dict[str, Any] = {name: settings_of(command) for name, command in ALL.items()}


def test_there_are_all_commands_of_earlier_versions() -> None:
    assert set(EARLIER) <= set(ALL)


def said(value: Any) -> Any:
    """A default as both versions would say it."""
    if isinstance(value, tuple | list):
        return ",".join(str(said(one)) for one in value) or None
    if is_dataclass(value):
        return said(getattr(value, fields(value)[0].name))  # pyright: ignore[reportArgumentType]
    return None if value in ("none", None) else str(value)


@pytest.mark.parametrize("name", EARLIER)
def test_every_flag_of_earlier_versions_works(name: str) -> None:
    known = names_of(ALL[name])
    found = {one.flag: one for one in shown_settings(KINDS[name])}
    places = [flag for flag, one in found.items() if one.positional]
    earlier = [flag for flag in EARLIER[name] if not flag.startswith("-")]
    assert places[: len(earlier)] == earlier
    assert all(found[flag].default is not REQUIRED for flag in places[len(earlier) :])  # those that are new
    for flag, row in EARLIER[name].items():
        assert set(row.get("flags", ())) <= known
        if flag == "--config":
            continue  # was of selfplay alone, is of all
        one = found[flag]
        assert (one.default is REQUIRED) == row.get("required", False), flag
        if (name, flag) != ("selfplay", "--seed"):  # it was said that the file has it
            assert one.default is REQUIRED or said(one.default) == said(row["default"]), flag
        assert not row.get("many") or one.many, flag


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(name: str) -> None:
    command, _ = find([name])
    assert command.help.partition("\n")[0] == COMMANDS[name][1]


@pytest.mark.parametrize("name", ALL)
def test_every_setting_has_a_meaning(name: str) -> None:
    assert not [one.key for one in all_settings(KINDS[name]) if not one.parameter.meaning]


def required(kind: type) -> dict[str, Any]:
    return {one.key: value_of(one) for one in all_settings(kind) if one.default is REQUIRED}


def value_of(one: Setting) -> Any:
    if one.many:
        return ("some",)
    return Path("some") if one.kind is Path else get_args(one.kind)[0] if get_args(one.kind) else "some"


@pytest.mark.parametrize("name", ALL)
def test_printed_settings_are_read_back(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    made = read(kind, None, required(kind))
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(made))
    assert read(kind, file) == made


ARGUMENTS = st.none() | st.dictionaries(
    st.sampled_from("ab"), st.booleans() | st.integers(0, 9) | st.text("xyz")
)
"""Values of ``template_arguments``, which may be any JSON."""


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_settings_are_read_back(name: str, tmp_path: Path, data: st.DataObject) -> None:
    st.register_type_strategy(Path, st.sampled_from((Path("a"), Path("b c"))))
    st.register_type_strategy(str, st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))))
    kind = KINDS[name]
    given_ = required(kind)
    for one in all_settings(kind):
        if one.is_stage or not data.draw(st.booleans()):
            continue
        within = one.parameter.range
        hint = Annotated[one.kind, within] if within and one.kind in (int, float) else one.kind
        value = data.draw(
            ARGUMENTS if one.key.endswith("template_arguments") else st.from_type(cast(Any, hint))
        )
        assume(value != "none" and "none" not in (value if isinstance(value, tuple) else ()))
        given_[one.key] = value
    try:
        made = read(kind, None, given_)
    except UsageError:
        return  # a rule over several fields
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(made))
    assert read(kind, file) == made


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".json"])
def test_a_file_and_over_it_the_options(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"settings{suffix}"
    texts = {
        ".toml": "agent = ['mcts']\ntokens = [64, 32]\n",
        ".yaml": "agent: mcts\ntokens: [64, 32]\n",
        ".json": '{"suite": {"agents": ["mcts"], "tokens": 64}}',
    }
    file.write_text(texts[suffix])
    done = call("bench", "--config", file, "--tokens", "8", "--no-resume", "--print-config")
    assert done.exit_code == 0, done.output
    assert 'agents = ["mcts"]' in done.stdout
    assert "tokens = [8]" in done.stdout


def test_names_in_meanings_are_all_that_there_are() -> None:
    assert all(name in meaning("synthesize", "rows.exports") for name in EXPORTS)
    assert all(kind.plural in meaning("list", "kind") for kind in registry.KINDS.values())


def meaning(name: str, key: str) -> str:
    return next(one.parameter.meaning for one in all_settings(KINDS[name]) if one.key == key)


def test_it_does_not_matter_whether_pydantic_is_imported() -> None:
    pytest.importorskip("pydantic")
    assert call("tree", "x", "--seed", "3", "--as", "pdf").stderr.startswith("usage: --as")


def test_of_an_option_that_is_given_again_the_last_counts() -> None:
    words = "--resume --resume --no-controls --controls --seed 1 --seed 2 --tokens 3 --tokens 4,5 --scorer -x"
    done = call("bench", *words.split(), "--agent", "a", "--agent", "b", "--print-config")
    assert done.exit_code == 0, done.output
    for line in (
        "resume = true",
        "controls = true",
        "seed = 2",
        "tokens = [4, 5]",
        'scorer = "-x"',
        'agents = ["a", "b"]',
    ):
        assert line in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bech",), "unknown command 'bech'; did you mean 'bench'"),
        (("bench", "cmopare"), "unknown command 'cmopare'; did you mean 'compare'"),
        (("bench", "--toknes", "3"), "--toknes.*--tokens"),
        (("bench", "--tokens", "-1"), "--tokens must be at least 0, got -1"),
        (("bench", "--seeds", "many"), "--seeds must be a whole number, got 'many'"),
        (("bench", "--limit", "x"), "--limit must be a whole number or none, got 'x'"),
        (("bench", "--config", "none.toml"), "none.toml: no such file$"),
        (("prm", "train", "--out", "x"), "--data is required: folder made by o1coder synthesize$"),
        (("selfplay",), "--run.model is required: .*; o1coder selfplay init mine.toml writes a file"),
        (("selfplay", "--run.model", "tiny"), "--problems.set is required: .*; o1coder selfplay init"),
        (("compare",), "A is required: a run folder, .*; e.g. o1coder compare runs/first --baseline"),
        (("explain", "runs/x"), "TASK is required: a problem of the run, .*; o1coder tree RUN lists them"),
        (("list", "agents", "mcts"), "unexpected argument 'mcts'; see o1coder list --help$"),
        (("tree", "x", "--as", "pdf"), "--as: unknown form 'pdf'; known: dot, html"),
        (("serve", "--port", "70000"), r"--port must be in \[0, 65535\]"),
        (("models", "fetch", "a", "b"), "unexpected argument 'b'; see o1coder models fetch --help$"),
    ],
)
def test_what_is_wrong_is_one_line(words: tuple[str, ...], told: str) -> None:
    done = call(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert re.search(told, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("toknes = 5", "unknown key in .*toml 'toknes'; did you mean 'tokens'"),
        ("[suite]\ntoknes = 5", r"unknown key in .*toml, \[suite\] 'toknes'"),
        ("[siute]\ntokens = 5", r"unknown section of .*toml 'siute'; did you mean 'suite'"),
        ("run = 3", "run must be a section, got 3"),
        ("suite = 3", "suite must be a path or none, got 3"),
        ("seeds = 0", "seeds must be at least 1, got 0"),
        ("seeds = true", "seeds must be a whole number, got True"),
        ("controls = 1", "controls must be true or false, got 1"),
        ("limit = 2.5", "limit must be a whole number or none, got 2.5"),
        ("seconds = inf", "seconds must be at least 0 and finite"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(text)
    done = call("bench", "--config", file)
    assert done.exit_code == 2
    assert re.search(told, done.stderr), done.stderr
    assert str(file) in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_shows_groups_ranges_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    done = call("rl", "policy", "--help")
    assert done.exit_code == 0
    headings = set(re.findall(r"╭─ ([\w -]+?) ─", done.stdout))
    assert {"Problem set", "Held-out problems", "Training"} <= headings
    assert "[≥ 2; default: 8]" in done.stdout
    assert "[step | phi | outcome; default: step]" in done.stdout
    assert "--tau-pass" not in done.stdout


def test_help_of_all_commands_imports_little() -> None:
    program = (
        "import sys; from o1coder_gym.cli.main import main; main(['--help']); "
        "print(sorted({'torch', 'numpy', 'gymnasium', 'msgspec', 'yaml', 'tomlkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_other_layer_knows_the_command_line() -> None:
    program = (
        "import sys, o1coder_gym.experiments; from o1coder_gym.agents.rl.settings import RLSettings; "
        "RLSettings(updates=3); print(sorted({'cyclopts', 'tomlkit', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_groups_of_commands_show_their_help() -> None:
    for words in ((), ("rl",)):
        done = call(*words)
        assert "Commands" in done.stdout


def test_help_and_completion_are_words() -> None:
    assert call("help", "judge").stdout == call("judge", "--help").stdout
    for shell in SHELLS:
        assert "explain" in call("completion", shell).stdout
    assert "known: bash" in call("completion", "tcsh").stderr


def test_quiet_and_verbose_are_for_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--quiet", "--problems", "nothing", "--solutions", "x"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["-v", "judge", "--problems", "nothing", "--solutions", "x"]) == 2
    assert "Traceback" in capsys.readouterr().err
    logging.getLogger("o1coder_gym").handlers.clear()


@pytest.mark.parametrize("loud", [False, True])
def test_a_warning_is_a_sentence(loud: bool, capsys: pytest.CaptureFixture[str]) -> None:
    asked = new_app("warns", "Warns.")

    @asked.default
    def warns() -> None:  # as Python prints a warning; here pytest collects those that are given
        print(warnings.formatwarning("this model\n  is small", UserWarning, __file__, 1))

    usual = warnings.formatwarning
    assert main_of(asked, ["-v"] if loud else []) == 0
    told = capsys.readouterr().out.strip()
    assert "test_commands.py" in told if loud else told == "warning: this model is small"
    assert warnings.formatwarning is usual
    logging.getLogger("o1coder_gym").handlers.clear()


SILENT = {"judge serve", "serve", "selfplay init"}
"""Commands that print no results."""


@pytest.mark.parametrize("name", sorted(ALL.keys() - SILENT))
def test_results_are_printed_as_json_too(name: str) -> None:
    assert "--json" in {one.flag for one in all_settings(KINDS[name])}


def test_json_is_what_every_reader_takes() -> None:
    found = to_json({"low": math.nan, "ends": (1.5, -math.inf), "word": "é", "half": "\ud800"})
    assert json.loads(found) == {"low": None, "ends": [1.5, None], "word": "é", "half": "\ud800"}
    assert found.isascii()
    assert to_json("é") == '"é"'


def test_verbose_says_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.jsonl").write_text("")
    words = ["judge", "--problems", "starter", "--solutions", str(tmp_path / "none.jsonl"), "-v"]
    assert main(words) == 0
    assert "o1coder_gym.problems.loading: problems starter: 77 rows" in capsys.readouterr().err
    logging.getLogger("o1coder_gym").handlers.clear()


def test_self_play_begins_with_a_file(tmp_path: Path) -> None:
    done = call("selfplay", "--init", tmp_path / "mine.toml", "--model", "tiny", "--problems", "own.jsonl")
    assert done.exit_code == 0, done.stderr
    found = read(SelfPlaySettings, tmp_path / "mine.toml")
    assert (found.run.model, found.problems.set) == ("tiny", "own.jsonl")
    assert call("selfplay", "init", tmp_path / "mine.toml").exit_code == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(Checked):
    """Plain.

    Attributes:
        word: Any.
    """

    word: str = ""


@pytest.mark.parametrize("resumes", [True, False])
def test_a_run_that_is_interrupted_says_how_to_go_on(
    resumes: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(settings: Any, run: Any) -> None:
        raise KeyboardInterrupt

    app = command(Plain, stopped, "stopped", RunSettings if resumes else FitRun)
    with pytest.raises(SystemExit) as ended:
        app(["--out", str(tmp_path)], exit_on_error=False)
    assert ended.value.code == 130
    told = f"interrupted; continue with: --out {tmp_path} --resume" if resumes else "interrupted"
    assert capsys.readouterr().err.strip() == told


def test_what_is_interrupted_while_it_is_loaded_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("o1coder_gym.cli.main.run", stopped)
    assert main(["bench"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_comparison_does_not_load_what_runs_benchmarks() -> None:
    program = (
        "import sys; from o1coder_gym.cli.main import main; main(['bench', 'compare', '--help']); "
        "print({'o1coder_gym.cli.search.bench', 'o1coder_gym.experiments', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--baseline" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"
