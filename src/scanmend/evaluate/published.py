"""The numbers that Kolev, Rodani et al. print in their Tables I to XV.

References:
    N. L. Kolev, T. Rodani, N. J. Curson, T. J. Z. Stock, A. Cazzaniga, "Generative Image
    Restoration and Super-Resolution using Physics-Informed Synthetic Data for Scanning Tunneling
    Microscopy" (2025), arXiv:2510.25921
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DEGRADED, PRISTINE = "degraded", "pristine"
"""What the tables hold beside models: the input, and the set of clean scans against itself."""

GENERATIVE = "mean of the generative models"
"""Whose scores Tables II and V give."""

MODELS = (
    *("Autoencoder", "DDIM Small", "DDIM Large", "DDIM Large (FFT)"),
    *("FM Small", "FM Large"),
)
"""As the paper calls them, in its order."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number of the paper.

    Attributes:
        table: Where it is printed: "IX".
        task: "restore", "x2" or "x4".
        on: The set it was taken on: "test" (synthetic, all damage mixed), "test-" and the name of a
            degradation (that alone), or "real" (scans whose clean image nobody knows).
        model: One of MODELS, or DEGRADED, PRISTINE or GENERATIVE.
        steps: Of the sampler, of which one of flow matching is two calls of the network; None for
            what takes none, and where the paper gives the best over the steps it tried.
        score: "psnr_dB", "ssim", "kid", "cmmd"; "seconds_cpu" and "seconds_gpu" for 128 x 128
            pixels (on "128x128"), "step_seconds_cpu", "step_seconds_gpu", "speedup" for one step;
            "parameters_M"; "rating" (1 to 5), "rank" (1 to 3), "first_percent" by five experts.
        value: As printed.
    """

    table: str
    task: str
    on: str
    model: str
    steps: int | None
    score: str
    value: float


KINDS = {
    "BluntTip": "blunt tip",
    "LineNoise": "scan lines",
    "TipChange": "tip change",
    "LineShift": "misalignment",
    "MultiTip": "multi-tip",
    "FewerLines": "low resolution",
}
"""What the paper calls kinds of damage, in the order of its Table II."""


CONDITIONS = {
    "I": "trainable parameters in millions; one row for both losses of DDIM Large",
    "II": "restoration, synthetic sets of 1,000 with one kind of damage, mean over the models",
    "III": "restoration, synthetic test set of 2,000, best over the steps",
    "IV": "restoration, 66 real degraded scans against pristine ones, best over the steps; its row "
    "'synthetically degraded' is the real one of Table X",
    "V": "super-resolution, synthetic sets of 1,000 with one kind of damage, mean over the models",
    "VI": "super-resolution, synthetic test sets of 2,000, best over the steps",
    "VII": "super-resolution, real scans, best over the steps; its .361 for DDIM Small is the "
    "value of DDIM Large in Table XIII",
    "VIII": "seconds a step for 128 x 128 pixels, AMD Ryzen 5 2600 and NVIDIA RTX 3060 Ti",
    "IX": "restoration, synthetic test set of 2,000, every number of steps",
    "X": "restoration, 66 real degraded scans against pristine ones, every number of steps",
    "XI": "super-resolution, synthetic test sets of 2,000, every number of steps",
    "XII": "super-resolution, every number of steps; the caption says synthetic, the values are "
    "those of the real scans in Table VII",
    "XIII": "super-resolution, every number of steps; synthetic and real as in Table XII",
    "XIV": "seconds for 128 x 128 pixels, AMD Ryzen 5 2600 and NVIDIA RTX 3060 Ti",
    "XV": "restoration, 137 annotations by five experts",
}
"""On what each table was taken, where the paper contradicts itself included."""

# fmt: off
_ALONE = {  # restoration PSNR, SSIM (Table II); SSIM x2, x4 (Table V)
    "FewerLines": (None,  None,  0.750, 0.723),
    "BluntTip":   (32.40, 0.953, 0.750, 0.713),
    "LineNoise":  (32.38, 0.964, 0.750, 0.703),
    "TipChange":  (31.04, 0.951, 0.746, 0.723),
    "LineShift":  (30.36, 0.938, 0.747, 0.721),
    "MultiTip":   (27.18, 0.870, 0.717, 0.672),
}

_STEPS = (  # IX: PSNR, SSIM; X: KID, CMMD; XI: SSIM x2, x4; XII: KID x2, x4; XIII: CMMD x2, x4
    (DEGRADED,     None, 20.00, .680, .0807, .446, .493, .396, .1436, .1782, .479, .601),
    ("Autoencoder",       1, 18.82, .787, .0830, .431, .747, .672, .1021, .1275, .407, .392),
    ("DDIM Small",        5, 26.44, .886, .0371, .377, .703, .661, .1120, .1471, .395, .419),
    ("DDIM Small",       10, 26.59, .890, .0365, .375, .698, .655, .1106, .1359, .392, .414),
    ("DDIM Large",        5, 26.78, .893, .0398, .339, .719, .649, .1075, .1072, .359, .384),
    ("DDIM Large",       10, 26.70, .892, .0353, .387, .722, .644, .1065, .1061, .361, .385),
    ("DDIM Large (FFT)",  5, 27.55, .905, .0397, .336, .723, .660, .1149, .1052, .379, .370),
    ("DDIM Large (FFT)", 10, 28.86, .910, .0377, .345, .724, .656, .1138, .1020, .373, .362),
    ("FM Small",          2, 29.90, .889, .0344, .365, .757, .702, .0977, .0983, .401, .370),
    ("FM Small",          5, 28.84, .893, .0331, .349, .752, .692, .1022, .1045, .409, .373),
    ("FM Small",         10, 29.36, .895, .0328, .353, .750, .719, .1023, .1117, .418, .390),
    ("FM Large",          2, 31.53, .929, .0357, .350, .778, .719, .1081, .0993, .408, .362),
    ("FM Large",          5, 31.52, .929, .0374, .350, .762, .687, .1096, .1258, .419, .390),
    ("FM Large",         10, 31.57, .929, .0375, .357, .764, .691, .1103, .1326, .425, .396),
    (PRISTINE,     None, None,  None, .0194, .228, None, None, .0187, .0187, .229, .229),
)

_BEST = (  # III: PSNR, SSIM; IV: KID, CMMD; VI: SSIM x2, x4; VII: KID x2, x4, CMMD x2, x4
    (DEGRADED,           None, 20.00, .680, .0807, .446, .493, .396, .1436, .1782, .479, .601),
    ("Autoencoder",      None, 18.82, .787, .0830, .431, .747, .672, .1021, .1275, .407, .392),
    ("DDIM Small",       None, 26.59, .890, .0365, .375, .703, .661, .1106, .1359, .361, .414),
    ("DDIM Large (FFT)", None, 28.86, .910, .0397, .336, .724, .660, .1138, .1020, .373, .362),
    ("FM Small",         None, 29.36, .895, .0331, .349, .757, .719, .0977, .0983, .401, .370),
    ("FM Large",         None, 31.57, .929, .0357, .350, .778, .719, .1081, .0993, .408, .362),
    (PRISTINE,           None, None,  None, .0194, .228, None, None, .0187, .0187, .229, .229),
)

_SECONDS = (  # XIV: CPU, GPU
    ("Autoencoder",  1,  1.08, 0.08),
    ("DDIM Small",   5,  0.50, 0.05), ("DDIM Small", 10,  1.01, 0.10),
    ("DDIM Large",   5,  5.68, 0.41), ("DDIM Large", 10, 11.35, 0.82),
    ("FM Small",     2,  0.41, 0.04), ("FM Small",    5,  1.05, 0.10), ("FM Small", 10, 2.05, 0.20),
    ("FM Large",     2,  4.61, 0.32), ("FM Large",    5, 11.10, 0.81),
    ("FM Large",    10, 22.98, 1.61),
)

_MODELS = {  # I: parameters; VIII: CPU, GPU, CPU over GPU; XV: rating, rank, % first
    "Autoencoder":      (14.7, 1.08, 0.08, 13.50, None, None, None),
    "DDIM Small":       ( 3.6, 0.10, 0.01,  9.73, 2.63, 2.12, 28.5),
    "DDIM Large":       (14.7, 1.13, 0.08, 13.87, None, None, None),
    "DDIM Large (FFT)": (14.7, None, None,  None, 2.77, 2.01, 31.6),
    "FM Small":         ( 3.6, 0.21, 0.02, 10.30, None, None, None),
    "FM Large":         (14.7, 2.27, 0.16, 14.08, 3.00, 1.87, 40.0),
}
# fmt: on

_SCORES = (
    *(("restore", "test", "psnr_dB"), ("restore", "test", "ssim")),
    *(("restore", "real", "kid"), ("restore", "real", "cmmd")),
    *(("x2", "test", "ssim"), ("x4", "test", "ssim")),
    *(("x2", "real", "kid"), ("x4", "real", "kid"), ("x2", "real", "cmmd"), ("x4", "real", "cmmd")),
)
_WHERE = {
    "all": ("IX", "IX", "X", "X", "XI", "XI", "XII", "XII", "XIII", "XIII"),
    "best": ("III", "III", "IV", "IV", "VI", "VI", "VII", "VII", "VII", "VII"),
}
_OF_MODELS = (
    ("I", "", "parameters_M"),
    *(("VIII", "128x128", name) for name in ("step_seconds_cpu", "step_seconds_gpu", "speedup")),
    *(("XV", "real", name) for name in ("rating", "rank", "first_percent")),
)


def _numbers() -> Iterator[Number]:
    for which, rows in (("all", _STEPS), ("best", _BEST)):
        for model, steps, *values in rows:
            for table, (task, on, score), value in zip(_WHERE[which], _SCORES, values, strict=True):
                # Table IX has no row for the input; Table III has.
                if value is not None and (table, model) != ("IX", DEGRADED):
                    yield Number(table, task, on, model, steps, score, value)
    heads = (("II", "restore", "psnr_dB"), ("II", "restore", "ssim"))
    heads += (("V", "x2", "ssim"), ("V", "x4", "ssim"))
    for kind, values in _ALONE.items():
        for (table, task, score), value in zip(heads, values, strict=True):
            if value is not None:
                yield Number(table, task, f"test-{kind}", GENERATIVE, None, score, value)
    for model, steps, *seconds in _SECONDS:
        for score, value in zip(("seconds_cpu", "seconds_gpu"), seconds, strict=True):
            yield Number("XIV", "restore", "128x128", model, steps, score, value)
    for model, values in _MODELS.items():
        for (table, on, score), value in zip(_OF_MODELS, values, strict=True):
            if value is not None:
                yield Number(table, "restore", on, model, None, score, value)


NUMBERS: tuple[Number, ...] = tuple(_numbers())
"""Every number of Tables I to XV."""


def find(
    score: str, model: str, steps: int | None = None, *, task: str = "restore", on: str = "test"
) -> Number | None:
    """What the paper prints for a model's score, the arguments as in `Number`; None if nothing."""
    wanted = score, model, steps, task, on
    here = (n for n in NUMBERS if (n.score, n.model, n.steps, n.task, n.on) == wanted)
    return next(here, None)


def gain(
    score: str, model: str, steps: int | None = None, *, task: str = "restore", on: str = "test"
) -> float | None:
    """By how much a model's score exceeds that of the degraded input; None if either is missing."""
    after = find(score, model, steps, task=task, on=on)
    before = find(score, DEGRADED, task=task, on=on)
    return after.value - before.value if after and before else None


def called(candidate: Mapping[str, Any]) -> str | None:
    """What the paper calls a model with this `method` and these `parameters`; None if nothing."""
    method = candidate.get("method")
    if not isinstance(method, Mapping):
        return None
    size = {3_608_161: "Small", 14_736_321: "Large"}.get(candidate.get("parameters", 0))
    match method:
        case {"kind": "Regression"} if candidate.get("parameters") == 14_735_745:
            return "Autoencoder" if method.get("loss", "l1") == "l1" else None
        case {"kind": "FlowMatching"} if size and method.get("solver", "midpoint") == "midpoint":
            return f"FM {size}"
        case {"kind": "Diffusion"} if size and (
            method.get("schedule", "cosine") == "cosine" and method.get("sampler", "ddim") == "ddim"
        ):
            name = f"DDIM {size}" + (" (FFT)" if method.get("fourier") else "")
            return name if name in MODELS else None
    return None
