"""Settings of a small class: what counts more, what is refused, what files look like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.settings import (
    FILE_ONLY,
    AtLeastOne,
    Checked,
    Flag,
    Heading,
    Hint,
    Positive,
    Section,
    Setting,
    Without,
    all_settings,
    parse_words,
    read,
    to_row,
    to_toml,
    with_run,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven(Checked):
    """Heat.

    Attributes:
        degrees: In °C.
        rack: From below.
        fan: Whether air moves.
    """

    degrees: Annotated[Positive, Flag("--heat")] = 180.0
    rack: AtLeastOne = 2
    fan: bool = False

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.fan and self.degrees > 250:
            raise UsageError("too hot for the fan")


@dataclass(frozen=True, slots=True)
class Grill(Checked):
    """Grill.

    Attributes:
        watts: Of power.
    """

    watts: AtLeastOne = 900


@dataclass(frozen=True, slots=True)
class Filling(Checked):
    """A filling.

    Attributes:
        name: Of it.
        grams: How much.
    """

    name: str
    grams: AtLeastOne | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cake(Checked):
    """Cake.

    Attributes:
        name: Of it.
        layers: Centimetres each.
        fillings: Between them.
        kind: Of dough.
        secret: Not on the command line.
        oven: How it is baked.
        cooler: Where it rests.
        top: What is done at the end.
    """

    name: Annotated[str, Flag("NAME"), Hint("bake init writes one")]
    layers: Annotated[tuple[AtLeastOne, ...], Heading("Size")] = (3, 2)
    fillings: tuple[Filling, ...] = ()
    kind: Literal["sponge", "yeast"] | None = None
    secret: Annotated[str, FILE_ONLY] = "salt"
    oven: Annotated[Oven, Without(("rack",))] = Oven(degrees=160.0, rack=3)
    cooler: Annotated[Oven, Section()] = Oven(degrees=4.0)
    top: Annotated[Oven | Grill | None, Section("by", (("heat", Oven), ("grill", Grill)))] = Grill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Checked):
    """Box.

    Attributes:
        out: Where the cake goes.
    """

    out: Path


FOUND = {one.key: one for one in all_settings(Cake)}


def written(folder: Path, text: str, suffix: str = ".toml") -> Path:
    path = folder / f"cake{suffix}"
    path.write_text(text)
    return path


def test_a_class_is_its_fields_and_those_of_its_groups() -> None:
    assert {key: one.flag for key, one in FOUND.items()} == {
        "name": "NAME",
        "layers": "--layers",
        "fillings": "--fillings",
        "kind": "--kind",
        "secret": "",
        "oven.degrees": "--heat",
        "oven.fan": "--fan",
        "cooler.degrees": "--heat",
        "cooler.rack": "--cooler.rack",
        "cooler.fan": "--cooler.fan",
        "top": "",
    }
    assert (FOUND["oven.degrees"].default, FOUND["cooler.degrees"].default) == (160.0, 4.0)
    assert (FOUND["layers"].group, FOUND["name"].group, FOUND["oven.fan"].group) == ("Size", "Cake", "Heat")
    assert FOUND["oven.fan"].parameter.meaning == "Whether air moves."


def test_defaults_of_groups_files_and_options_count_more_in_this_order(tmp_path: Path) -> None:
    plain = read(Cake, None, {"name": "a"})
    assert plain == Cake(name="a")
    file = written(tmp_path, 'name = "b"\nheat = 170\n[oven]\nfan = true\n[cooler]\nrack = 1\n')
    assert read(Cake, file).oven == Oven(degrees=170.0, rack=3, fan=True)
    assert read(Cake, file).cooler == Oven(degrees=4.0, rack=1)
    assert read(Cake, file, {"oven.degrees": 90.0, "name": "c"}).oven.degrees == 90.0


@pytest.mark.parametrize(
    ("text", "top"),
    [
        ("[top]\nskip = true", None),
        ("[top]\nwatts = 5", Grill(5)),
        ('[top]\nby = "heat"\nrack = 1', Oven(rack=1)),
    ],
)
def test_a_stage_is_left_out_or_of_one_of_several_classes(tmp_path: Path, text: str, top: object) -> None:
    found = read(Cake, written(tmp_path, f'name = "a"\n{text}\n'))
    assert found.top == top
    again = written(tmp_path, to_toml(found))
    assert read(Cake, again) == found


def test_yaml_has_numbers_as_yaml_1_2_does(tmp_path: Path) -> None:
    file = written(
        tmp_path, "name: a\nheat: 1e2\nlayers: 4\nfillings: [jam, {name: cream, grams: 5}]\n", ".yaml"
    )
    found = read(Cake, file)
    assert (found.oven.degrees, found.layers) == (100.0, (4,))
    assert found.fillings == (Filling("jam"), Filling("cream", 5))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"cake.toml: name is required: of it; bake init writes one$"),
        ('name = "a"\nkind = "rye"', "kind: unknown kind 'rye'; known: sponge, yeast"),
        ('name = "a"\nlayers = [1, 0]', "layers must be at least 1, got 0"),
        ('name = "a"\nlayers = "many"', "layers must be numbers such as 512,1024, or none, got 'many'"),
        ('name = "a"\n[oven]\nrack = 2', r"unknown key in .*cake.toml, \[oven\] 'rack'"),
        ('name = "a"\nfillings = [{nam = "jam"}]', "fillings must be names, or tables with name"),
        ('name = "a"\n[oven]\ndegrees = 300\nfan = true', r"cake.toml, \[oven\]: too hot for the fan"),
        ('name = "a"\n[top]\nby = "torch"', r"unknown by in \[top\] of .*'torch'; known: grill, heat"),
        ("name", "cake.toml: cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read(Cake, written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "words", "value"),
    [
        ("name", "a b", "a b"),
        ("layers", ["1,2", "3,4"], (3, 4)),
        ("layers", ["none"], ()),
        ("kind", ["none"], None),
        ("kind", ["sponge", "yeast"], "yeast"),
        ("fillings", ["jam", "cream"], (Filling("jam"), Filling("cream"))),
        ("oven.degrees", ["-0.5e2", "7"], 7.0),
    ],
)
def test_words_of_a_command_line(key: str, words: list[str], value: object) -> None:
    assert parse_words(FOUND[key], words) == value


@pytest.mark.parametrize(
    ("key", "words", "told"),
    [
        ("oven.degrees", ["0"], "--heat must be above 0 and finite, got 0"),
        ("oven.degrees", ["warm"], "--heat must be a number, got 'warm'"),
        ("kind", ["rye"], "--kind: unknown kind 'rye'; known: sponge, yeast"),
    ],
)
def test_wrong_words_are_one_line(key: str, words: list[str], told: str) -> None:
    one: Setting = FOUND[key]
    with pytest.raises(UsageError, match=told):
        parse_words(one, words)


def test_ranges_hold_in_python_too() -> None:
    with pytest.raises(UsageError, match="rack must be at least 1, got 0"):
        Oven(rack=0)
    with pytest.raises(UsageError, match="kind is sponge, yeast or null, not 'rye'"):
        Cake(name="a", kind="rye")  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Checked):
    """Order."""

    parcel: Annotated[Box, Section()]


def test_a_required_setting_is_called_by_its_whole_flag() -> None:
    with pytest.raises(UsageError, match=r"^--parcel\.out is required: where the cake goes$"):
        read(Order)
    assert read(Order, given={"parcel.out": Path("x")}) == Order(parcel=Box(out=Path("x")))


def test_a_run_folder_is_put_beside() -> None:
    kind = with_run(Grill, Box)
    with pytest.raises(UsageError, match=r"^--out is required: where the cake goes$"):
        read(kind)
    assert read(kind, None, {"run.out": Path("x")}).run == Box(out=Path("x"))
    assert isinstance(read(kind, None, {"run.out": Path("x")}), Grill)
    assert issubclass(UnknownNameError, UsageError)


@pytest.mark.parametrize("section", ["cooler", "top"])
def test_in_a_section_too_a_key_may_be_called_as_its_option(section: str, tmp_path: Path) -> None:
    by = 'by = "heat"\n' if section == "top" else ""
    found = read(Cake, written(tmp_path, f'name = "n"\n[{section}]\n{by}heat = 90.0\n'))
    assert getattr(found, section).degrees == 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked(Checked):
    """A cake whose oven got fields later.

    Attributes:
        template_arguments: Words for the baker.
        staleness: Days.
        oven: Heat.
    """

    template_arguments: dict[str, object] | None = None
    staleness: int = 0
    oven: Oven = Oven()


def test_rows_have_later_fields_only_where_they_are_set() -> None:
    assert to_row(Baked()) == {"oven": to_row(Oven())}
    assert to_row(Baked(staleness=2))["staleness"] == 2


def test_keys_of_a_value_are_not_taken_for_fields() -> None:
    words = {"staleness": 0, "reward": "", "heat": None}
    assert to_row(Baked(template_arguments=words))["template_arguments"] == words
