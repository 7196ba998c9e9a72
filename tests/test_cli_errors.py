"""Bad input on the command line: one clear line, exit status 1, and the other files are done."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import scanmend


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("scanmend: ")]
    assert len(lines) == 1, f"not one line of error: {err!r}"
    assert "Traceback" not in err and "this is a bug" not in err
    return lines[0]


def heights(rows: int = 48, columns: int = 64) -> np.ndarray:
    return 1e-11 * np.random.default_rng(0).standard_normal((rows, columns))


def gsf(values: np.ndarray, **header: object) -> Callable[[Path], object]:
    """Writes a Gwyddion Simple Field of 12 x 9 nm, with whatever the header is to say."""
    rows, columns = values.shape
    fields = {"XRes": columns, "YRes": rows, "XReal": 12e-9, "YReal": 9e-9, "XYUnits": "m"}
    fields |= {"ZUnits": "m"} | header
    text = "Gwyddion Simple Field 1.0\n" + "".join(f"{k} = {v}\n" for k, v in fields.items())
    head = text.encode() + b"\0" * (4 - len(text) % 4)
    return lambda path: path.write_bytes(head + values.astype("<f4").tobytes())


def cut(make: Callable[[Path], object], size: int) -> Callable[[Path], object]:
    """The same file, but only its first bytes."""

    def write(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[:size])

    return write


def npy(shape: tuple[int, ...]) -> Callable[[Path], object]:
    return lambda path: np.lib.format.open_memmap(path, "w+", np.int8, shape).flush()


def text(path: Path) -> None:
    path.write_text("dear diary")


def netcdf(path: Path) -> None:
    path.write_bytes(Path("scan.nc").read_bytes())


infinite = heights()
infinite[3, 4] = np.inf

FILES = {
    "missing": ("bad.nc", lambda path: None, "there is no file bad.nc"),
    "empty": ("bad.sxm", Path.touch, "is empty"),
    "not a scan": ("bad.sxm", text, "is none of the formats read here"),
    "truncated": ("bad.gsf", cut(gsf(heights()), 900), "bad.gsf"),
    "truncated NetCDF": ("bad.nc", cut(netcdf, 3000), "bad.nc"),
    "lying header": ("bad.gsf", gsf(heights(), XRes=640), "bad.gsf"),
    "nothing measured": ("bad.gsf", gsf(np.nan * heights()), "every pixel is NaN"),
    "infinite": ("bad.gsf", gsf(infinite), "infinite pixels: mark what was not measured"),
    "constant": ("bad.gsf", gsf(0 * heights()), "nothing to restore"),
    "one line": ("bad.gsf", gsf(heights(1)), "1x64 pixels is too small: 8 at least"),
    "volume": ("bad.npy", npy((2, 3, 8, 9)), r"an array of 4 axes \(2 x 3 x 8 x 9\)"),
    "series": ("bad.npy", npy((3, 8, 9)), "does not say how large the scan is"),
    "no scale": ("bad.npy", npy((48, 64)), "does not say how large the scan is"),
    "no height": ("bad.gsf", gsf(heights(), ZUnits="V"), "'V', which is no height, current or co"),
    "counts": ("bad.gsf", gsf(heights(), ZUnits=""), "bad.gsf"),
    "far too fine": (
        "bad.gsf",
        gsf(heights(), XReal=1e-10, YReal=1e-10),
        "far outside the 0.02-0.4",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_one_line_and_the_others_are_done(run, file, case):
    name, make, message = FILES[case]
    make(Path(name))
    status, out, err = run("restore", name, file)
    assert (status, out) == (1, "scan_restored.nc\n")
    line = one_line(err)
    assert name in line and re.search(message, line), line


def test_what_is_too_large_is_refused(run):
    npy((12_000, 9_000))(Path("bad.npy"))
    status, _, err = run("restore", "bad.npy", "--size-nm", "1800")
    assert status == 1
    assert "12000x9000 pixels are more than 1e+08: crop the scan first" in one_line(err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--channel", "LIX"), "scan.nc has no channel 'LIX'; it has "),
        (("--direction", "backward"), "scan.nc has no 'backward' direction"),
        (("--unit", "V"), "scan.nc says that"),
        (("--size-nm", "0.1"), "far outside the 0.02-0.4 nm that surface was trained at"),
        (("--model", "nowhere.onnx"), "no model 'nowhere.onnx'"),
        (("--model", "scan.nc"), "scan.nc is not a model file"),
        (("-o", "scan.nc/sub"), "scan.nc/sub cannot be made: Not a directory"),
        (("-o", "/proc/here"), "/proc/here cannot be made"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_wish_is_one_line(run, file, options, message):
    status, out, err = run("restore", file, *options)
    assert (status, out) == (1, "")
    assert message in one_line(err)


@pytest.mark.parametrize("recipe", ["rainy", "nowhere.toml"])
def test_an_unknown_recipe_is_one_line(run, file, recipe):
    status, out, err = run("degrade", file, "--recipe", recipe)
    assert (status, out) == (1, "")
    assert recipe in one_line(err)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(run, file):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        status, out, err = run("restore", file, "--format", "npy", "-o", "there")
    finally:  # at once: where pytest writes to a file, it would be stopped too
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, out) == (1, "")
    assert "there/scan_restored.npy cannot be written: " in one_line(err)
    assert not list(Path("there").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("mend", "scan.nc"),
        ("restore",),
        ("restore", "scan.nc", "--sharpen"),
        ("restore", "scan.nc", "--size-nm", "wide"),
        ("restore", "scan.nc", "--size-nm", "-3"),
        ("restore", "scan.nc", "--calls", "0"),
        ("restore", "scan.nc", "--seed", "-1"),
        ("restore", "scan.nc", "--format", "jpg"),
        ("upscale", "scan.nc", "--factor", "3"),
        ("simulate",),
        ("simulate", "graphene", "-n", "0"),
        ("simulate", "graphene", "--seed", "-1"),
        ("simulate", "graphene", "--format", "nc"),
        ("simulate", "graphene", "--workers", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2(run, file, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "Usage: scanmend" in err


def test_json_names_what_failed(run, file):
    status, out, err = run("info", "--json", "nowhere.sxm", file)
    failed, done = json.loads(out)
    assert status == 1
    assert failed == {"input": "nowhere.sxm", "error": "there is no file nowhere.sxm"}
    assert done["format"] == "scanmend NetCDF"
    assert one_line(err) == "scanmend: there is no file nowhere.sxm"


def test_an_input_is_never_overwritten(run, terrace):
    for name in ("a.nc", "a_restored.nc"):
        scanmend.write(terrace, name)
    before = Path("a_restored.nc").read_bytes()
    status, out, err = run("restore", "a.nc", "a_restored.nc", "--overwrite")
    assert (status, out) == (1, "a_restored_restored.nc\n")
    assert "a.nc: a_restored.nc is an input, which is never overwritten" in one_line(err)
    assert Path("a_restored.nc").read_bytes() == before


def test_earlier_results_are_replaced_only_when_asked(run, file):
    assert run("restore", file)[0] == 0
    status, _, err = run("restore", file)
    assert status == 1
    assert "exists already: choose another -o, or --overwrite" in one_line(err)
    assert run("restore", file, "--overwrite")[0] == 0


def test_two_files_of_one_name_do_not_share_a_result(run, terrace):
    for folder in ("monday", "tuesday"):
        Path(folder).mkdir()
        scanmend.write(terrace, f"{folder}/a.nc")
    status, out, err = run("restore", "monday/a.nc", "tuesday/a.nc", "--overwrite")
    assert (status, out) == (1, "a_restored.nc\n")
    assert "its result would replace that of monday/a.nc: choose another -o" in one_line(err)


SILICON = """
material = "si001h"
scans_per_session = 1
frame = { rows = 8, columns = 8, width_nm = 3.0 }
"""
WSE2 = SILICON.replace("si001h", "wse2") + 'electrons = "single-orbital"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('material = "gold"', "mine.toml: no material is called 'gold'; there are graphene, mos2,"),
        ("width = 3", 'mine.toml: an experiment needs a material = "...", one of graphene'),
        ("width: 3", "cannot read the experiment mine.toml: Expected '=' after a key"),
        (
            SILICON + "tips = 3",
            "mine.toml: unknown key 'tips'; there are material, electrons, scans",
        ),
        (
            SILICON + "[tip]\nkind = 3",
            "[tip] has no parameter 'kind'; it has shape, dulled, end_at",
        ),
        (SILICON + "[defects_per_nm2]\nkink = 1", "si001h has no defect 'kink'; there are "),
        (SILICON + '[defects_per_nm2]\n"dangling bond" = -1', "is a density, 0 or more, got -1"),
        (
            SILICON + '[defects_per_nm2]\n"dangling bond" = 100',
            "session 0: |x dangling bond do not fit on |: ask for fewer than ",
        ),
        (SILICON + "tunnelling.setpoint_nA = -1", "[tunnelling] setpoint_nA must be positive, got"),
        (
            SILICON + "tunnelling.setpoint_nA = 1e9",
            "session 0: |the setpoint of 1e+09 nA is out of",
        ),
        (WSE2 + "tunnelling.bias_V = 0.0", "session 0: |raise the bias to where there are states"),
        (
            WSE2 + "tunnelling.bias_V = 0.1\ntunnelling.coupling_eV = 0.1",  # in the gap
            "session 0: |nm above the surface, and touches it; 0.22 nm are wanted: lower the setp",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["files", "shards"])
def test_an_experiment_that_cannot_be_is_one_line(run, text, message, kind):
    Path("mine.toml").write_text(text)
    status, out, err = run("simulate", "mine.toml", "-o", "there", "--format", kind)
    assert (status, out) == (1, "")
    line = one_line(err)
    for part in message.split("|"):
        assert part.replace("session", "shard" if kind == "shards" else "session") in line
    assert err.count("\n") == 1
    assert not list(Path().glob("there/*.s*")), "something was written after all"


def test_an_unknown_experiment_is_told_with_the_presets(run):
    status, out, err = run("simulate", "grafene")
    assert (status, out) == (1, "")
    assert "no experiment 'grafene': neither a file nor one of ag111, au111" in one_line(err)


def test_a_loop_that_diverges_is_marked_and_told(run):
    gains = "[gains]\nproportional_nm = { choice = [0.012, 0.5] }\n"
    Path("mine.toml").write_text(SILICON + "[defects_per_nm2]\n" + gains)
    status, out, err = run("simulate", "mine.toml", "-n", 8)
    assert (status, out.count("\n")) == (0, 8)
    about = [json.loads(path.read_text()) for path in sorted(Path().glob("*.json"))]
    bad = [scan["scan"] for scan in about if scan["parameters"]["gains"]["proportional_nm"] == 0.5]
    assert 0 < len(bad) < 8
    for scan in about:
        assert ("the loop diverges" in (scan["fault"] or "")) == (scan["scan"] in bad)
    told = f"scanmend: {len(bad)} of 8 scans are marked; scan {bad[0]}: the loop diverges: an error"
    assert one_line(err).startswith(told)
    status, out, _ = run(
        "simulate", "mine.toml", "-n", 8, "--format", "shards", "-o", "s", "--json"
    )
    assert status == 0
    assert [int(number) for number in json.loads(out)["faults"]] == bad


@pytest.mark.parametrize(
    ("kind", "text"), [("files", "is of another"), ("shards", "holds other sam")]
)
def test_scans_of_another_seed_are_left_alone(run, kind, text):
    Path("mine.toml").write_text(SILICON)
    arguments = ("simulate", "mine.toml", "-n", 2, "--format", kind, "-o", "there")
    assert run(*arguments)[0] == 0
    before = {path: path.read_bytes() for path in Path("there").iterdir()}
    status, out, err = run(*arguments, "--seed", 1)
    assert (status, out) == (1, "")
    assert text in one_line(err) and "choose another folder" in err
    assert {path: path.read_bytes() for path in Path("there").iterdir()} == before


def test_a_changed_model_is_not_as_shipped(run):
    shipped = scanmend.models.load().path.read_bytes()
    Path("changed.onnx").write_bytes(shipped.replace(b'"licence"', b'"LICENCE"'))
    status, out, err = run("models", "verify", "nowhere.onnx", "changed.onnx", "si001h")
    assert status == 1
    assert "changed.onnx: NOT as shipped" in out and "si001h: as shipped" in out
    assert one_line(err).startswith("scanmend: no model 'nowhere.onnx'")
