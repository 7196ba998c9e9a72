"""Experiment files: what they may hold, what is drawn from it, and what is said of mistakes."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from scanmend.crystals import MATERIALS
from scanmend.errors import RecipeError
from scanmend.stm.distribution import Distribution
from scanmend.stm.experiment import TABLES, Experiment, load, parse, presets
from scanmend.stm.parameters import POSITIVE, WORDS, Frame, Motion, Tunnelling

MANY = 20_000
HUGE = "1" + 400 * "0"  # which no float holds
GRAPHENE = 'material = "graphene"\n'


def read(text: str, name: str = "mine") -> Experiment:
    return parse(name, tomllib.loads(text))


# Distributions


def draws(table: dict, rng: np.random.Generator) -> np.ndarray:
    distribution = Distribution.of(table, "it")
    return np.array([distribution.draw(rng) for _ in range(MANY)])


@pytest.mark.parametrize(
    ("table", "measure", "mean", "sd"),
    [
        ({"uniform": [1, 4]}, float, 2.5, 3 / math.sqrt(12)),
        ({"log_uniform": [0.02, 0.2]}, math.log, math.log(0.0632456), math.log(10) / math.sqrt(12)),
        ({"normal": [4.2, 0.3]}, float, 4.2, 0.29915),
        ({"integer": [0, 3]}, float, 1.5, math.sqrt(15 / 12)),
        ({"choice": [-1.5, 1.5, 3]}, float, 1.0, math.sqrt(3.5)),
        ({"uniform": [2, 2]}, float, 2.0, 0.0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_draws_have_the_moments_of_their_distribution(
    table: dict, measure: Callable[[float], float], mean: float, sd: float, rng
):
    """The deviation of a normal distribution that ends at three of them is 0.9972 of the whole."""
    values = np.array([measure(value) for value in draws(table, rng)])
    assert values.mean() == pytest.approx(mean, abs=4 * sd / math.sqrt(MANY) + 1e-12)
    assert values.std() == pytest.approx(sd, rel=0.02)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ({"uniform": [1, 4]}, 1, 4),
        ({"log_uniform": [0.02, 0.2]}, 0.02, 0.2),
        ({"normal": [4.2, 0.3]}, 3.3, 5.1),
        ({"integer": [-2, 3]}, -2, 3),
    ],
)
def test_draws_reach_their_limits_and_no_farther(table, low, high, rng):
    values = draws(table, rng)
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high
    assert Distribution.of(table, "it").extremes == pytest.approx((low, high))


def test_every_choice_and_every_integer_is_as_frequent(rng):
    for table in ({"integer": [1, 4]}, {"choice": [1, 2, 3, 4]}):
        values = draws(table, rng)
        assert values.dtype == np.int64
        counts = np.bincount(values, minlength=5)
        assert counts[0] == 0
        assert counts[1:] == pytest.approx(MANY / 4, rel=0.06)


@pytest.mark.parametrize(
    "table", [{"uniform": [1, 4]}, {"normal": [5, 1]}, {"integer": [1, 3]}, {"choice": [1, 2]}]
)
def test_with_a_probability_the_rest_is_zero(table, rng):
    values = draws(table | {"probability": 0.3}, rng)
    assert np.mean(values != 0) == pytest.approx(0.3, abs=0.015)
    assert values[values != 0].min() >= 1
    assert not draws(table | {"probability": 0}, rng).any()


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_what_is_drawn_next_does_not_depend_on_chance(probability):
    """So a parameter that is at times 0 moves no other parameter."""
    distribution = Distribution("uniform", (1, 4), probability)
    following = []
    for seed in range(20):
        rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
        distribution.draw(rng)
        same.random(2 if probability < 1 else 1)
        following.append(rng.random() == same.random())
    assert all(following)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{ uniform = [1] }", "uniform takes two finite numbers, got [1]"),
        ("{ uniform = [1, 2, 3] }", "uniform takes two finite numbers, got [1, 2, 3]"),
        ('{ uniform = [1, "2"] }', "uniform takes two finite numbers, got [1, '2']"),
        ("{ uniform = [1, inf] }", "uniform takes two finite numbers, got [1, inf]"),
        (f"{{ uniform = [1, {HUGE}] }}", "uniform takes two finite numbers, got [1, 10000"),
        (f"{{ uniform = [1, 4], probability = {HUGE} }}", "a probability is 0 to 1, got 10000"),
        (HUGE, "width_nm must be a finite number, as 3, or drawn from such, got 10000"),
        ("{ uniform = [4, 1] }", "uniform goes from low to high, got [4, 1]"),
        ("{ normal = [4, -1] }", "a standard deviation is 0 or more, got -1"),
        ("{ log_uniform = [0, 1] }", "log_uniform begins above 0, got [0, 1]"),
        ("{ integer = [0, 1.5] }", "integer takes whole numbers, got [0, 1.5]"),
        ("{ uniform = [1, 4], probability = 2 }", "a probability is 0 to 1, got 2"),
        ("{ uniform = [1, 4], probability = nan }", "a probability is 0 to 1, got nan"),
        ("{ choice = [] }", "one distribution of uniform, log_uniform, normal, integer, choice"),
        ("{ gauss = [1, 4] }", "as in { uniform = [1, 4] }, got {'gauss': [1, 4]}"),
        ("{ uniform = [1, 4], normal = [1, 4] }", "must be a value or one distribution of"),
        ("{ probability = 0.5 }", "must be a value or one distribution of"),
        ("{}", "must be a value or one distribution of"),
    ],
)
def test_a_distribution_that_is_none(value, text):
    with pytest.raises(RecipeError, match=re.escape(text)) as caught:
        read(f"{GRAPHENE}[frame]\nwidth_nm = {value}")
    assert str(caught.value).startswith("[frame] width_nm")


# Files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'an experiment needs a material = "...", one of graphene, mos2, wse2, si001h'),
        ("material = 3", 'an experiment needs a material = "...", one of graphene'),
        ('material = "gold"', "no material is called 'gold'; there are graphene, mos2, wse2"),
        (
            'material = "wse2"\nelectrons = "free"',
            "wse2 has no electrons called 'free'; there are ",
        ),
        (
            'material = "si001h"\nelectrons = "pi"',
            "si001h has no electrons called 'pi'; there are none: it has no hopping electrons",
        ),
        (GRAPHENE + "electrons = [1]", "electrons have a name, got [1]"),
        (GRAPHENE + "[frame]\nrows = " + HUGE, "[frame] rows must be a whole number, as 64, or"),
        (GRAPHENE + "scans_per_session = 0", "1 scan or more, got scans_per_session = 0"),
        (GRAPHENE + "scans_per_session = 1.5", "scans_per_session is a whole number, got 1.5"),
        (GRAPHENE + "seed = 3", "unknown key 'seed'; there are material, electrons, scans_per_ses"),
        (GRAPHENE + "[probe]\nx = 1", "unknown key 'probe'; there are material, electrons, scans"),
        (GRAPHENE + "frame = 3", "frame is a table, [frame], got 3"),
        (GRAPHENE + "defects_per_nm2 = 3", "defects_per_nm2 is a table, [defects_per_nm2], got 3"),
        (
            GRAPHENE + "[frame]\nwidth = 3",
            "[frame] has no parameter 'width'; it has rows, columns, width_nm, angle_deg, line_s",
        ),
        (
            GRAPHENE + "[defects_per_nm2]\nkink = 1",
            "graphene has no defect 'kink'; there are vacancy, divacancy, nitrogen, boron, hydrog",
        ),
        (
            GRAPHENE + "[defects_per_nm2]\nvacancy = -0.1",
            "[defects_per_nm2] vacancy is a density, 0 or more, got -0.1",
        ),
        (
            GRAPHENE + "[defects_per_nm2]\nvacancy = { normal = [0.1, 0.2] }",
            "[defects_per_nm2] vacancy is a density, 0 or more, got -0.5",
        ),
        (
            GRAPHENE + '[frame]\nwidth_nm = "wide"',
            "[frame] width_nm must be a finite number, as 3, or drawn from such, got 'wide'",
        ),
        (
            GRAPHENE + "[frame]\nwidth_nm = nan",
            "[frame] width_nm must be a finite number, as 3, or drawn from such, got nan",
        ),
        (
            GRAPHENE + "[frame]\nrows = true",
            "[frame] rows must be a whole number, as 64, or drawn from such, got True",
        ),
        (
            GRAPHENE + "[frame]\nrows = { uniform = [32, 64] }",
            "[frame] rows must be a whole number, as 64, or drawn from such, got {'uniform'",
        ),
        (
            GRAPHENE + '[frame]\nfast_axis = { choice = ["x", 1] }',
            "[frame] fast_axis must be text, as 'x', or drawn from such, got {'choice'",
        ),
        (
            GRAPHENE + '[frame]\nbegins = "left"',
            "[frame] begins is one of top left, top right, bottom left, bottom right; got 'left'",
        ),
        (
            GRAPHENE + '[electronics]\namplifier = { choice = ["log", "root"] }',
            "[electronics] amplifier is one of log, linear; got 'root'",
        ),
        (
            GRAPHENE + '[tip]\nshape = "W(110)"',
            "[tip] shape is one of W(111), W(001), atom; got 'W(110)'",
        ),
        (
            GRAPHENE + "[tunnelling]\nsetpoint_nA = { uniform = [-0.1, 0.2] }",
            "[tunnelling] setpoint_nA must be positive, got -0.1",
        ),
        (
            GRAPHENE + "[tunnelling]\nsetpoint_nA = { uniform = [0.1, 0.2], probability = 0.5 }",
            "[tunnelling] setpoint_nA must be positive, got 0",
        ),
    ],
)
def test_what_means_nothing_is_told_with_what_would(text, said):
    with pytest.raises(RecipeError, match=re.escape(said)) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", sorted(POSITIVE))
def test_a_length_a_time_or_a_current_is_positive(key):
    (table,) = (name for name, kind in TABLES.items() if key in {f.name for f in fields(kind)})
    for value in (0, -1):
        with pytest.raises(RecipeError, match=rf"\[{table}\] {key} must be positive, got {value}"):
            parse("mine", {"material": "graphene", table: {key: value}})
    assert parse("mine", {"material": "graphene", table: {key: 1}}).fixed(table, key) == 1


def test_the_limits_name_parameters():
    """A misspelt one would never apply."""
    known = [f.name for kind in TABLES.values() for f in fields(kind)]
    for key in (*POSITIVE, *WORDS):
        assert known.count(key) == 1


@pytest.mark.parametrize("text", ["width_nm: 3", "= 3", "[frame x]"])
def test_what_is_no_toml(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"cannot read the experiment .*mine\.toml: .*line 1"):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"cannot read the experiment .*mine\.toml"):
        load(str(path))


@pytest.mark.parametrize("source", ["grafene", "nowhere/mine.toml", "."])
def test_a_file_that_is_not_there_is_told_with_the_presets(source):
    with pytest.raises(RecipeError) as caught:
        load(source)
    text = f"no experiment {source!r}: neither a file nor one of {', '.join(presets())}"
    assert str(caught.value) == text


def test_a_mistake_in_a_file_names_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('material = "gold"')
    with pytest.raises(RecipeError, match=rf"^{re.escape(str(path))}: no material is called 'go"):
        load(path)


def test_a_file_has_the_name_of_its_experiment(tmp_path):
    path = tmp_path / "monday.second.toml"
    path.write_text(GRAPHENE)
    assert load(path) == Experiment("monday.second", "graphene", tables=load(path).tables)


@pytest.mark.parametrize("name", presets())
def test_a_preset_survives_its_table(name):
    experiment = load(name)
    assert experiment.name == name
    assert parse(name, experiment.table()) == experiment


def test_every_kind_of_value_survives_its_table():
    text = """
        material = "wse2"
        electrons = "single-orbital"
        scans_per_session = 3
        [frame]
        rows = { integer = [16, 32] }
        columns = 24
        fast_axis = { choice = ["x", "y"] }
        [tip]
        double_nm = { uniform = [0.3, 2], probability = 0.2 }
        [defects_per_nm2]
        dopant = { log_uniform = [0.01, 0.1] }
        """
    experiment = read(text)
    table = experiment.table()
    assert parse("mine", table) == experiment
    written = tomllib.loads(text)
    assert {key: table[key] for key in written} == written, "nothing is lost or changed"


def test_there_is_a_preset_for_every_material():
    assert {load(name).material for name in presets()} == set(MATERIALS)
    assert {"luzny-wse2-main", "luzny-wse2-control", "si001h-100nm"} <= set(presets())


# Drawing


def test_a_draw_depends_on_experiment_seed_and_number_only():
    experiment = load("luzny-wse2-main")

    def motion(seed: int, number: int) -> Motion:
        return experiment.draw("motion", Motion, seed, number)

    first = [motion(0, number) for number in range(4)]
    assert [motion(0, number) for number in reversed(range(4))] == first[::-1]
    assert len(set(first)) == 4
    assert motion(1, 0) != first[0]


def test_a_table_that_is_changed_changes_no_other():
    table = load("luzny-wse2-main").table()
    one = parse("one", table)
    two = parse("two", table | {"motion": {}, "frame": {"width_nm": {"uniform": [5, 6]}}})
    for name, kind in TABLES.items():
        drawn = (experiment.draw(name, kind, 3, 7) for experiment in (one, two))
        same = len(set(drawn)) == 1
        assert same == (name not in ("motion", "frame")), name
    assert one.densities(3, 7) == two.densities(3, 7)


def test_tables_have_random_numbers_of_their_own():
    experiment = load("graphene")
    streams = [*TABLES, "defects_per_nm2", "atoms", "way", "current"]
    firsts = {experiment.stream(what, 0, 0).random() for what in streams}
    assert len(firsts) == len(streams)


def test_what_is_left_out_has_its_usual_value():
    experiment = read(GRAPHENE)
    assert experiment.draw("frame", Frame, 0, 0) == Frame()
    assert experiment.draw("tunnelling", Tunnelling, 0, 0) == Tunnelling()
    assert experiment.densities(0, 0) == MATERIALS["graphene"].densities_per_nm2
    assert read(GRAPHENE + "[defects_per_nm2]").densities(0, 0) == {}
    assert experiment.fixed("frame", "rows") == 64
    assert read(GRAPHENE + "[frame]\nrows = { integer = [8, 16] }").fixed("frame", "rows") is None


def test_main_and_control_differ_in_what_goes_wrong_only():
    main, control = load("luzny-wse2-main"), load("luzny-wse2-control")
    assert main != control
    for name, kind in TABLES.items():
        if name not in ("gains", "motion"):
            assert main.draw(name, kind, 5, 11) == control.draw(name, kind, 5, 11)
    assert main.densities(5, 11) == control.densities(5, 11)
    assert control.draw("motion", Motion, 5, 11) == Motion()
    assert (main.material, main.electrons) == (control.material, control.electrons)
