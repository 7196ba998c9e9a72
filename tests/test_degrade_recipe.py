"""Recipes survive their files, say what is wrong with them, and hold the source's numbers."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from importlib import resources

import numpy as np
import pytest

from scanmend.degrade.fewer_lines import FewerLines, kept_lines
from scanmend.degrade.multi_tip import MultiTip
from scanmend.degrade.recipe import (
    KINDS,
    Recipe,
    Step,
    dump,
    for_upscaling,
    isolated,
    load,
    load_file,
    preset,
)
from scanmend.degrade.tip_change import TipChange
from scanmend.errors import RecipeError, ScanError
from scanmend.scan import Scan

PRESETS = ("paper", "realistic", "microscope", "sbsr-paper", "sbsr-code", "stem-realistic")
PIXEL_NM = 100 / 512  # the source's scans: 512 pixels, 100 nm


def toml(table: dict) -> str:
    """Enough of TOML for what `dump` gives."""

    def value(v) -> str:
        return str(v).lower() if isinstance(v, bool) else repr(v)

    lines = [f"name = {table['name']!r}"]
    for step in table["step"]:
        lines += ["[[step]]", *(f"{key} = {value(v)}" for key, v in step.items())]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_survives_a_file(kind, tmp_path):
    recipe = Recipe("mine", (Step(kind(), 0.25), Step(kind())))
    assert load(dump(recipe)) == recipe
    (tmp_path / "mine.toml").write_text(toml(dump(recipe)))
    assert load_file(tmp_path / "mine.toml") == recipe


def test_what_differs_from_the_defaults_survives_too():
    steps = (
        Step(MultiTip(tips=(2,), weights=(1.0,), direction="any", span=0.3)),
        Step(TipChange(persists=True)),
        Step(FewerLines(keep_every=2, phase=1), 0.5),
    )
    assert load(dump(Recipe("other", steps))) == Recipe("other", steps)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_and_replay(name, lattice):
    recipe = preset(name)
    assert recipe.name == name
    assert load(dump(recipe)) == recipe
    images = [recipe(lattice, np.random.default_rng(seed)).values for seed in (0, 0, 1)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_presets_spell_every_parameter_of_the_paper():
    """To the letter means that no number hides in a default."""
    text = resources.files("scanmend.degrade").joinpath("presets/paper.toml").read_text("utf-8")
    for step in tomllib.loads(text)["step"]:
        names = {field.name for field in fields(KINDS[step["kind"]])} - {"low", "span", "fraction"}
        if step["kind"] != "FewerLines":
            assert set(step) - {"kind", "probability"} == names


def test_the_paper_preset_holds_the_numbers_of_the_paper():
    steps = {type(s.effect).__name__: s for s in preset("paper").steps}
    assert list(steps) == [
        "MultiTip",
        "LineShift",
        "BluntTip",
        "TipChange",
        "FewerLines",
        "LineNoise",
    ]
    assert {name: step.probability for name, step in steps.items()} == {
        "MultiTip": 1.0,
        "LineShift": 0.3,
        "BluntTip": 0.6,
        "TipChange": 0.6,
        "FewerLines": 0.0,
        "LineNoise": 0.6,
    }
    multi = steps["MultiTip"].effect
    assert np.divide(multi.offset_nm, PIXEL_NM) == pytest.approx((1, 11), rel=1e-3)
    assert replace(multi, offset_nm=(0, 0)) == MultiTip(
        tips=(2, 3, 4),
        weights=(0.5, 0.3, 0.2),
        count="extra",
        offset_nm=(0, 0),
        direction="positive",
        amplitude=(1, 2.5),
        onset=(5, 9),
        steepness=(7, 10),
        kernel_weights=(0.3, 0.4, 0.3),
        gaussian_px=(1, 3),
        median_px=(1, 9),
        random_px=(5, 6),
    )
    assert (steps["LineShift"].effect.sigma_px, steps["LineShift"].effect.fraction) == (0.8, 1)
    assert steps["BluntTip"].effect.sigma_px == (0.3, 0.6)
    change = steps["TipChange"].effect
    assert (change.offset_probability, change.offset_of_range) == (0.5, (0.05, 0.4))
    assert not change.persists
    noise = steps["LineNoise"].effect
    assert noise.lines_per_128 == (25, 35)
    assert noise.length_px == (0, 102)
    assert noise.weights == (0.3, 0.45, 0.25)
    assert noise.constant_of_range == (0, 0.4)
    assert (noise.log_normal_mu, noise.log_normal_sigma) == ((1, 2), (0.5, 1))
    assert noise.sign == "positive"


def test_the_realistic_preset_differs_where_physics_asks_for_it():
    steps = {type(s.effect).__name__: s for s in preset("realistic").steps}
    assert steps["MultiTip"].probability == 0.5
    assert steps["MultiTip"].effect.direction == "any"
    assert steps["TipChange"].effect.persists
    assert steps["LineNoise"].effect.sign == "either"
    # A line of few carries its noise k times: lines are dropped last.
    assert list(steps)[-1] == "FewerLines"


def test_steps_are_taken_as_often_as_they_say(lattice):
    small = replace(lattice, values=lattice.values[:16, :16])
    rng = np.random.default_rng(0)
    lines = [line for _ in range(300) for line in preset("paper")(small, rng).history]
    starts = ("multi-tip", "line shift", "blunt tip", "tip change", "fewer lines", "line noise")
    shares = [sum(line.startswith(start) for line in lines) / 300 for start in starts]
    assert shares == pytest.approx([1, 0.3, 0.6, 0.6, 0, 0.6], abs=0.085)  # three sigmas


def test_all_steps_measure_in_the_range_of_what_comes_in(lattice):
    """A ghost that doubles the range does not double the offset of the tip's change."""
    change = TipChange((0, 0), 1.0, (0.4, 0.4))
    raised = Recipe("", (Step(MultiTip(amplitude=(2.5, 2.5))), Step(change)))(
        lattice, np.random.default_rng(0)
    )
    offset = abs(float(raised.history[-1].split()[-2]))
    assert offset == pytest.approx(0.4 * np.ptp(lattice.values), rel=1e-3)
    own = Recipe("", (Step(replace(change, span=2.0)),))(lattice, np.random.default_rng(0))
    assert abs(float(own.history[-1].split()[-2])) == pytest.approx(0.8)


def test_a_recipe_needs_something_measured(rng):
    empty = Scan(np.full((4, 4), np.nan, np.float32), (1.0, 1.0))
    with pytest.raises(ScanError, match="nothing in this scan was measured"):
        preset("paper")(empty, rng)


def test_one_kind_alone_is_always_taken(lattice, rng):
    alone = isolated(preset("paper"), "LineShift")
    assert alone.name == "paper, LineShift alone"
    for _ in range(8):
        assert [line.split(",")[0] for line in alone(lattice, rng).history] == ["line shift"]
    with pytest.raises(RecipeError, match=r"paper has no step 'Drift'; it has MultiTip, LineShift"):
        isolated(preset("paper"), "Drift")


@pytest.mark.parametrize("name", ["paper", "realistic"])
def test_for_upscaling_the_lines_are_always_dropped(name, lattice, rng):
    recipe = for_upscaling(preset(name), 4)
    assert [type(s.effect) for s in recipe.steps] == [type(s.effect) for s in preset(name).steps]
    for _ in range(4):
        assert kept_lines(recipe(lattice, rng)).step == 4
    with pytest.raises(RecipeError, match="blunt has no step FewerLines"):
        for_upscaling(Recipe("blunt", ()), 2)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"kind": "Drift"}, "unknown degradation 'Drift'; there are ThermalDrift, MultiTip"),
        ({}, "unknown degradation None; there are"),
        (
            {"kind": "ThermalDrift", "speed": 1},
            "ThermalDrift has no parameter 'speed'; it has speed_nm_per_s, line_s",
        ),
        ({"kind": "LineShift", "sigma_px": -1}, "sigma_px must be a number of at least 0, got -1"),
        ({"kind": "LineShift", "sigma_px": True}, "must be a number of at least 0, got True"),
        ({"kind": "LineShift", "sigma_px": float("nan")}, "a number of at least 0, got nan"),
        ({"kind": "LineShift", "sigma_px": 10**400}, "must be a number of at least 0, got 1000"),
        ({"kind": "LineShift", "fraction": 1.5}, "fraction must be a number from 0 to 1, got 1.5"),
        ({"kind": "LineShift", "probability": 2}, "LineShift: probability must be a number from 0"),
        (
            {"kind": "BluntTip", "sigma_px": [0.6, 0.3]},
            r"sigma_px must be 2 numbers of at least 0, low to high, got \[0.6, 0.3\]",
        ),
        ({"kind": "BluntTip", "sigma_px": 0.6}, "2 numbers of at least 0, low to high, got 0.6"),
        ({"kind": "MultiTip", "tips": []}, r"a list of whole numbers of at least 0, got \[\]"),
        ({"kind": "MultiTip", "tips": [2.5]}, r"a list of whole numbers of at least 0, got \[2.5"),
        ({"kind": "MultiTip", "count": "all"}, "count must be 'extra' or 'total', got 'all'"),
        ({"kind": "MultiTip", "kernel_weights": [1]}, "must be 3 numbers of at least 0, got"),
        ({"kind": "MultiTip", "span": "1"}, "span must be a number of at least 0, got '1'"),
        ({"kind": "TipChange", "persists": 1}, "persists must be true or false, got 1"),
        ({"kind": "FewerLines", "keep_every": 2.0}, "must be a whole number of at least 0"),
        ({"kind": "FewerLines", "keep_every": 0}, "keep_every of at least 1"),
    ],
)
def test_what_is_wrong_with_a_step_is_said(step, words):
    with pytest.raises(RecipeError, match=words):
        load({"step": [step]})


def test_what_is_wrong_with_a_table_is_said():
    with pytest.raises(RecipeError, match=r"a recipe holds name and \[\[step\]\]s, got 'steps'"):
        load({"steps": []})
    with pytest.raises(RecipeError, match="a recipe's name is text, got 3"):
        load({"name": 3, "step": []})
    with pytest.raises(RecipeError, match=r"recipe unnamed has no \[\[step\]\]s; it needs a list"):
        load({})
    with pytest.raises(
        RecipeError, match="no recipe is called 'papre'; there are microscope, paper, realistic"
    ):
        preset("papre")


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    path = tmp_path / "bad.toml"
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*bad.toml: .*No such file"):
        load_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*bad.toml"):
        load_file(path)
    path.write_text("step = = 3")
    with pytest.raises(RecipeError, match=r"bad.toml is not valid TOML: .*line 1"):
        load_file(path)
    path.write_text("[[step]]\nkind = 'Sharpen'")
    with pytest.raises(RecipeError, match=r"bad.toml: unknown degradation 'Sharpen'"):
        load_file(path)


def test_a_file_without_a_name_is_called_what_it_is_called(tmp_path):
    (tmp_path / "gentle.toml").write_text("[[step]]\nkind = 'BluntTip'")
    assert load_file(tmp_path / "gentle.toml").name == "gentle"
