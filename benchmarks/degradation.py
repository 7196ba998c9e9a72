"""How bad is the paper's damage, read one way or another? Calibrates the preset `paper`.

Run: python benchmarks/degradation.py

Kolev, Rodani et al. print PSNR 20.00 dB and SSIM .680 for their damaged inputs, and SSIM .493 and
.396 for those of super-resolution, but leave open how many ghosts there are, and whether always.
Here every reading damages scans as they did: ghosts and shifted lines on the whole image of
512x512 pixels, the rest on crops of 128x128, each then brought to [0, 1] by itself. (SSIM must have
been taken there: in [-1, 1], where the mean of a crop is near 0, it is about .2.)

Found with 400 draws: no reading gives all four numbers. The inputs of restoration ask for fewer
ghosts than those of super-resolution, which every reading with a multiple tip in each scan meets
within .05. Over all, "total, always" and "extra, half of the time" are nearest, and "extra,
always" is farthest: 1 to 3 dB and .09 to .16 below the inputs of restoration. The preset `paper`
keeps to it all the same: Eq. 1 and App. 2 say so, and such numbers depend on the clean scans.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from setting import DATA, SI001H, heading, si001h, table

from scanmend import level
from scanmend.crystals import acquisition_noise, silicon
from scanmend.degrade.base import height_range
from scanmend.degrade.line_shift import LineShift
from scanmend.degrade.multi_tip import MultiTip
from scanmend.degrade.recipe import Recipe, for_upscaling, preset
from scanmend.evaluate.metrics import psnr, ssim
from scanmend.scan import Scan

SIDE = 128
DRAWS, CROPS = 96, 2  # of ghosts, for each reading; of crops, for each of them
PUBLISHED = (20.00, 0.680, 0.493, 0.396)


def tips(count: str) -> Recipe:
    """The preset with its multiple tip read as "extra" or "total", or with "none"."""
    steps = (
        replace(step, effect=replace(step.effect, count=count))
        if isinstance(step.effect, MultiTip)
        else step
        for step in preset("paper").steps
        if count != "none" or not isinstance(step.effect, MultiTip)
    )
    return Recipe("paper", tuple(steps))


def split(recipe: Recipe, span: float) -> tuple[Recipe, Recipe]:
    """What is done to the whole image, and to a crop of it, in units of the image's `span`."""
    whole, crop = [], []
    for step in recipe.steps:
        if isinstance(step.effect, MultiTip | LineShift):
            whole.append(step)
        elif hasattr(step.effect, "span"):
            crop.append(replace(step, effect=replace(step.effect, span=span)))
        else:
            crop.append(step)
    return Recipe("whole", tuple(whole)), Recipe("crop", tuple(crop))


def unit(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / np.ptp(values)


def quality(recipe: Recipe, scans: list[Scan]) -> tuple[np.ndarray, float]:
    """Means of PSNR (dB, of crops that were damaged at all), SSIM, and SSIM with 1/2, 1/4 lines.

    And the standard error of SSIM, which comes from the ghosts, not from the crops.
    """
    scores = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        scan = scans[draw % len(scans)]
        whole, _ = split(recipe, span := height_range(scan)[1])
        ghosted = whole(scan, rng)
        for row, column in rng.integers(0, 512 - SIDE, (CROPS, 2)):
            crop = (slice(row, row + SIDE), slice(column, column + SIDE))
            clean, part = unit(scan.values[crop]), ghosted.crop(*crop)
            lines = (recipe, for_upscaling(recipe, 2), for_upscaling(recipe, 4))
            few = [unit(split(r, span)[1](part, rng).values) for r in lines]
            scores.append([psnr(few[0], clean, 1), *(ssim(z, clean, 1) for z in few)])
    each = np.array(scores)
    error = each[:, 1].reshape(DRAWS, CROPS).mean(axis=1).std() / DRAWS**0.5
    return np.nanmean(np.where(np.isinf(each), np.nan, each), axis=0), float(error)


def synthetic(count: int) -> list[Scan]:
    """Surfaces as large and as fine as the source's scans, levelled."""
    recipe = replace(silicon.TRAINING, pixel_nm=(100 / 512, 100 / 512))
    rng = np.random.default_rng(1)
    surfaces = [silicon.surface(rng, (512, 512), recipe) for _ in range(count)]
    return [level.plane(acquisition_noise(scan, rng))[0] for scan in surfaces]


def main() -> None:
    heading("The paper's damage, by reading")
    groups = {"synthetic": synthetic(DRAWS)}
    if DATA.is_dir():
        groups["real"] = [si001h(name) for name in SI001H]
    found = {("published", ""): np.array(PUBLISHED)}
    errors = []
    for group, scans in groups.items():
        without, _ = quality(tips("none"), scans)
        for count in ("extra", "total"):
            always, error = quality(tips(count), scans)
            errors.append(error)
            found[f"{count}, always", group] = always
            found[f"{count}, half of the time", group] = (always + without) / 2
    rows = [(*key, f"{q[0]:.1f}", *(f"{s:.3f}" for s in q[1:])) for key, q in found.items()]
    table(("ghosts", "scans", "PSNR dB", "SSIM", "every 2nd line", "every 4th"), rows)
    print(f"Means over {DRAWS * CROPS} crops; standard error of an SSIM up to {max(errors):.3f}.")


if __name__ == "__main__":
    main()
