"""The paper's numbers are the paper's, and ours stand beside them with what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from scanmend.evaluate import published
from scanmend.evaluate.bootstrap import weights
from scanmend.evaluate.distances import Distance
from scanmend.evaluate.estimates import Estimates, told_apart
from scanmend.evaluate.metrics import Scores
from scanmend.evaluate.orderings import compare, orderings, tau_b
from scanmend.evaluate.results import DEGRADED, SPEED, Key, Part, Provenance, Results, Timing
from scanmend.evaluate.tables import tables
from scanmend.evaluate.typeset import Cell, Table

SMALL, LARGE = 3_608_161, 14_736_321
FLOW, DDIM = {"kind": "FlowMatching", "solver": "midpoint"}, {"kind": "Diffusion", "fourier": 0.0}
FOURIER = DDIM | {"fourier": 0.5}
# fmt: off
MODELS: dict[str, tuple[dict | None, int, tuple[int | None, ...], float]] = {  # and its merit
    "autoencoder":    ({"kind": "Regression", "loss": "l1"}, 14_735_745, (1,), 1),
    "ddim-small":     (DDIM, SMALL, (5, 10), 4),
    "ddim-large":     (DDIM, LARGE, (5, 10), 5),
    "ddim-large-fft": (FOURIER, LARGE, (5, 10), 6),
    "fm-small":       (FLOW, SMALL, (2, 5, 10), 8),
    "fm-large":       (FLOW, LARGE, (2, 5, 10), 9),
    "si001h":         (None, 0, (3,), 10),
    "median":         (None, 0, (None,), 0.5),
}
# fmt: on
KINDS = ("BluntTip", "LineNoise", "TipChange", "LineShift", "MultiTip")
HARDER = {"test": 4.0, "test-MultiTip": 5.0} | {f"test-{k}": 1.0 for k in KINDS[:-1]}


def evaluated(
    count: int = 400,
    tasks: Sequence[str] = ("restore", "x2", "x4"),
    models: Sequence[str] = tuple(MODELS),
    panels: bool = False,
    seed: int = 3,
) -> Results:
    """What an evaluation might have found: better models are better, on the same hard images."""
    rng = np.random.default_rng(seed)
    hard = {on: rng.normal(0, 2, count) for on in HARDER}
    runs: list[tuple[str, int | None, float, dict]] = [(DEGRADED, None, 0, {"kind": "input"})]
    for name in models:
        method, parameters, steps, merit = MODELS[name]
        about = {"kind": "model", "sha256": f"{len(name):02x}" * 32, "parameters": parameters}
        if name == "median":
            about = {"kind": "classical", "method": "median"}
        about |= {"method": method} if method else {}
        runs += [(name, n, merit + 0.03 * i, about) for i, n in enumerate(steps)]
    parts = []
    for task in tasks:
        fewer = {"restore": 0, "x2": 4, "x4": 7}[task]
        for name, steps, merit, about in runs:
            for on, harder in HARDER.items():
                noise = rng.normal(0, 0.5, count)
                psnr = 26 - harder - fewer + merit + hard[on] + noise
                ssim = 1 - 10 ** (-(psnr - 10) / 15)
                scores = Scores(psnr, psnr + 1, ssim, ssim + 0.01, merit - 10 + noise)
                of_part = _panels(rng, merit) if panels else {}
                parts.append(Part(Key(name, steps, task, on), about, scores, (), of_part, 9.5))
            score = 0.08 - 0.004 * merit
            found = tuple(
                Distance(f"{kind}[stm-encoder]", k * score, 0.01, k * score - 0.004,
                         k * score + 0.004, 66, 600, 0.02 * k, 0.017 * k, 0.024 * k, 66, 0.95)
                for kind, k in (("KID", 1.0), ("CMMD", 9.0), ("CMMD-kolev", 0.5))
            )  # fmt: skip
            of_part = (
                {k: v for k, v in _panels(rng, merit).items() if k != "clean"} if panels else {}
            )
            parts.append(Part(Key(name, steps, task, "real"), about, None, found, of_part, 3.2))
            if name != DEGRADED:
                timing = Timing(0.02 * (steps or 1), 0.01, steps, 10, "cpu", 2, "A Processor")
                parts.append(Part(Key(name, steps, task, SPEED), about, timing=timing))
    sets = {
        f"{t}/{on}": {"manifest_sha256": "ab" * 32, "samples": count}
        for t in tasks
        for on in HARDER
    }
    embedder = {"name": "stm-encoder", "sha256": "cd" * 32}
    provenance = Provenance("0.4", "2026-11-21T14:00:00+00:00", 0, None, sets, embedder)
    return Results(provenance, tuple(parts))


def _panels(rng: np.random.Generator, merit: float) -> dict[str, NDArray[np.float16]]:
    """Four lattices, of which a better model leaves less noise."""
    y, x = np.mgrid[:128, :128]
    clean = (np.cos(0.8 * x) + np.cos(0.4 * y))[None] / 2 + np.zeros((4, 1, 1))
    degraded = clean + rng.normal(0, 0.5, clean.shape) * (y % 16 < 4)
    restored = clean + (degraded - clean) / (1 + merit)
    images = {"degraded": degraded, "restored": restored, "clean": clean}
    images["pixel_nm"] = np.full((4, 2), 0.2)
    return {name: values.astype(np.float16) for name, values in images.items()}


@pytest.fixture(scope="module")
def results() -> Results:
    return evaluated()


@pytest.fixture(scope="module")
def found(results) -> dict[str, Table]:
    return {table.name: table for table in tables(Estimates(results))}


def cell(table: Table, row: str, group: str, head: str, steps: str = "") -> Cell:
    """The one of a row, by its first words and steps, and a column, by its group and head."""
    at = [i for i, c in enumerate(table.columns) if c.group == group and c.head == head]
    rows = [r for r in table.rows if r[0] == row and (not steps or r[2] == steps)]
    assert len(at) == len(rows) == 1, f"{len(rows)} rows, {len(at)} columns"
    of = rows[0][at[0]]
    assert isinstance(of, Cell)
    return of


@pytest.mark.parametrize(
    ("score", "model", "steps", "task", "on", "value", "table"),
    [
        ("psnr_dB", "FM Large", 10, "restore", "test", 31.57, "IX"),
        ("psnr_dB", "FM Small", None, "restore", "test", 29.36, "III"),
        ("ssim", "DDIM Large (FFT)", 5, "x4", "test", 0.660, "XI"),
        ("kid", "FM Small", 2, "x2", "real", 0.0977, "XII"),
        ("cmmd", published.PRISTINE, None, "x4", "real", 0.229, "XIII"),
        ("ssim", published.GENERATIVE, None, "restore", "test-MultiTip", 0.870, "II"),
        ("seconds_cpu", "FM Large", 10, "restore", "128x128", 22.98, "XIV"),
        ("rank", "FM Large", None, "restore", "real", 1.87, "XV"),
    ],
)
def test_the_papers_numbers_are_found(score, model, steps, task, on, value, table):
    number = published.find(score, model, steps, task=task, on=on)
    assert number is not None and (number.value, number.table) == (value, table)


def test_the_papers_gains_are_those_of_its_text():
    assert published.gain("psnr_dB", "FM Large", 10) == pytest.approx(11.57)
    assert published.gain("ssim", "FM Large", 2) == pytest.approx(0.249)
    assert published.gain("ssim", "FM Large", 2, task="x2") == pytest.approx(0.285)
    assert published.gain("ssim", "FM Large", 2, task="x4") == pytest.approx(0.323)
    multi, *others = sorted(
        n.value for n in published.NUMBERS if n.table == "II" and n.score == "ssim"
    )
    assert others[0] - multi == pytest.approx(0.068)
    assert published.find("ssim", "SBSR") is None and published.gain("ssim", "SBSR") is None


def test_every_number_of_the_paper_is_there_once():
    counts = {t: sum(n.table == t for n in published.NUMBERS) for t in published.CONDITIONS}
    assert counts == dict(
        zip(published.CONDITIONS, (6, 10, 12, 14, 12, 12, 28, 15, 26, 30, 28, 30, 30, 22, 9),
            strict=True)
    )  # fmt: skip
    keys = [(n.table, n.task, n.on, n.model, n.steps, n.score) for n in published.NUMBERS]
    assert len(set(keys)) == len(keys)


def test_a_model_is_called_as_in_the_paper_by_what_it_is_and_not_by_its_name():
    called = {name: published.called({"method": m, "parameters": p}) for name, (m, p, *_) in
              MODELS.items()}  # fmt: skip
    assert list(called.values()) == [*published.MODELS, None, None]
    flow = {"method": FLOW, "parameters": SMALL}
    for other in (
        flow | {"parameters": 3_541_857},
        flow | {"method": FLOW | {"solver": "euler"}},
        flow | {"method": DDIM | {"schedule": "linear"}},
        flow | {"method": FOURIER},
        {"kind": "classical", "method": "median"},
    ):
        assert published.called(other) is None


def test_every_table_that_the_results_allow_is_there(found):
    numbers = ("II", "III", "IV", "V", "VI", "VII", "IX", "X", "XI", "XII", "XIII", "XIV")
    assert list(found) == [
        *(f"table-{number}" for number in numbers),
        *("cmmd-kolev-real", "further", "orderings"),
    ]
    only = tables(Estimates(evaluated(50, ["x2"], ["median"])))
    assert "table-III" not in [table.name for table in only]
    assert tables(Estimates(replace(evaluated(50), parts=()))) == []


def test_a_mean_stands_with_its_interval_count_and_gain(results, found):
    run, before = (results.find(*key).scores.psnr_dB for key in (("fm-large", 2), (DEGRADED, None)))
    mean = cell(found["table-IX"], "fm-large", "PSNR (dB), here", "mean", "2")
    assert mean.value == pytest.approx(run.mean()) and mean.n == 400
    assert mean.low < mean.value < mean.high
    sem = run.std(ddof=1) / 20
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * sem, rel=0.1)
    gain = cell(found["table-IX"], "fm-large", "PSNR (dB), here", "gain", "2")
    assert gain.value == pytest.approx(np.mean(run - before))
    assert gain.high - gain.low < 0.5 * (mean.high - mean.low), "not taken image by image"


def test_the_papers_value_stands_beside_the_model_that_it_is_of(found):
    there = "PSNR (dB), published"
    assert cell(found["table-IX"], "fm-small", there, "mean", "2").value == 29.90
    assert cell(found["table-IX"], "fm-small", there, "gain", "2").value == pytest.approx(9.90)
    assert cell(found["table-III"], "fm-small", there, "mean").value == 29.36
    assert cell(found["table-III"], "si001h", there, "mean").value is None
    assert cell(found["table-III"], DEGRADED, there, "mean").value == 20.00
    assert cell(found["table-XIV"], "fm-large", "published, GPU", "s a step", "5").value == 0.16
    assert cell(found["table-II"], "multi-tip", there, "restored").value == 27.18


def test_the_best_and_what_cannot_be_told_from_it_is_bold_and_the_input_never(found):
    def bold(table: Table, group: str) -> list[str]:
        heads = [(c.group, c.head) for c in table.columns]
        at = heads.index((group, "mean"))
        return [f"{row[0]}@{row[2]}" for row in table.rows if row[at].best]

    assert bold(found["table-IX"], "SSIM, here") == ["si001h@3"]
    assert bold(found["table-IX"], "SSIM, published") == [f"fm-large@{n}" for n in (2, 5, 10)]
    close = evaluated(60, ["restore"], ["fm-large", "fm-small"], seed=1)
    of = {table.name: table for table in tables(Estimates(close))}
    assert len(bold(of["table-IX"], "SSIM, here")) == 3, "0.03 dB apart on 60 images"


def test_scores_of_another_embedder_have_a_column_of_their_own(found):
    groups = [column.group for column in found["table-X"].columns if column.group]
    assert groups == [
        *("KID[stm-encoder], here", "KID[InceptionV3], published"),
        *("CMMD[stm-encoder], here", "CMMD[CLIP], published"),
    ]
    assert any(
        "Scores of different embedders cannot be compared" in n for n in found["table-X"].notes
    )
    assert not any("published" in c.group for c in found["cmmd-kolev-real"].columns)
    floor = cell(found["table-X"], "clean against clean", "KID[stm-encoder], here", "score")
    assert (floor.value, floor.low, floor.high) == (0.02, 0.017, 0.024)


def test_what_further_scores_are_is_told(results, found):
    fitted = cell(found["further"], "median", "task restore", "PSNR (dB), fitted")
    assert fitted.value == pytest.approx(results.find("median").scores.psnr_dB.mean() + 1)
    assert any("hangs on its extremes" in note for note in found["further"].notes)


def test_how_much_of_the_way_to_clean_images_was_closed(found):
    here = cell(found["table-IV"], "fm-large", "KID[stm-encoder], here", "closed (%)")
    made = cell(found["table-IV"], "fm-large", "KID[stm-encoder], here", "score")
    assert here.value == pytest.approx(100 * (0.08 - made.value) / 0.06)
    there = cell(found["table-IV"], "fm-large", "KID[InceptionV3], published", "closed (%)")
    assert there.value == pytest.approx(100 * (0.0807 - 0.0357) / (0.0807 - 0.0194))


def test_models_of_one_task_share_a_row_if_the_paper_calls_them_the_same(results):
    def renamed(part: Part) -> Part:
        key = part.key
        name = key.candidate if key.candidate == DEGRADED else f"{key.candidate}-{key.task}"
        return replace(part, key=key._replace(candidate=name))

    parts = tuple(renamed(part) for part in evaluated(80).parts)
    of = {table.name: table for table in tables(Estimates(replace(results, parts=parts)))}
    rows = [row[0] for row in of["table-VI"].rows]
    assert rows.count("fm-large-x2 / fm-large-x4") == 1 and "median-x2" in rows
    row = "fm-large-x2 / fm-large-x4"
    assert cell(of["table-VI"], row, "SSIM ×2, published", "mean").value == 0.778


def test_scores_that_are_not_finite_are_left_out_and_counted(results):
    broken = [replace(p, scores=p.scores and p.scores._replace(psnr_dB=p.scores.psnr_dB.copy()))
              for p in results.parts if p.key.task == "restore"]  # fmt: skip
    for part in broken:
        if part.scores and part.key.candidate == "fm-large" and part.key.on == "test":
            part.scores.psnr_dB[:3] = np.inf
    of = {t.name: t for t in tables(Estimates(replace(results, parts=tuple(broken))))}
    mean = cell(of["table-III"], "fm-large", "PSNR (dB), here", "mean")
    assert mean.n == 397 and np.isfinite(mean.value)
    assert "Numbers here are of 397 to 400 images" in of["table-III"].notes[0]


def test_orders_are_compared_pair_by_pair(results):
    found = orderings(Estimates(results))
    ssim = found["models by SSIM"]
    assert ("FM Large", "FM Small") in ssim.same
    assert ssim.opposite == (("FM Small", "DDIM Large (FFT)"),)
    assert len(ssim.same) + len(ssim.opposite) + len(ssim.open) == 15
    assert found["damage by SSIM"].same[0][1] == "multi-tip"
    assert len(found["damage by SSIM"].open) == 6, "four kinds are alike here"


def test_tau_agrees_with_scipy(rng):
    x, y = rng.integers(0, 5, (2, 30)).astype(float)
    assert tau_b(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert np.isnan(tau_b(np.ones(3), y[:3]))


def test_pairs_published_as_equal_are_in_no_order():
    told = ~np.eye(3, dtype=bool)
    found = compare("abc", np.array([1.0, 2, 3]), np.array([5.0, 5, 4]), told)
    assert (found.same, found.opposite, found.open) == ((), (("c", "a"), ("c", "b")), ())


def test_models_that_are_alike_are_seldom_told_apart_and_others_always(rng):
    drawn = weights(300, rng, 1000)
    hard = rng.normal(0, 3, 300)
    wrong = sum(told_apart(hard + rng.normal(0, 1, (6, 300)), drawn).any() for _ in range(100))
    assert wrong <= 12, "5 % of 100 for all 15 pairs at once"
    better = hard + rng.normal(0, 1, (2, 300)) + np.array([[0.0], [0.5]])
    assert told_apart(better, drawn)[0, 1], "the images' own differences are not taken out"


def test_a_constant_difference_is_told_and_none_is_not(rng):
    values = rng.normal(0, 1, 50)
    told = told_apart(np.array([values, values, values + 0.1]), weights(50, rng, 200))
    assert told.tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_intervals_do_not_depend_on_what_else_was_evaluated(results, found):
    kept = tuple(p for p in results.parts if p.key.candidate in (DEGRADED, "fm-large"))
    few = {t.name: t for t in tables(Estimates(replace(results, parts=kept)))}
    for model in (DEGRADED, "fm-large"):
        alone, among = (cell(t["table-III"], model, "SSIM, here", "mean") for t in (few, found))
        assert (alone.low, alone.high) == (among.low, among.high)
