"""Surfaces of every kind, for networks that are to work on surfaces nobody has simulated.

Few mechanisms that go with each other, rather than many special cases: a lattice of Gaussians, of
a material or of none, with domains; terraces under it; molecules and clusters on it; a slow relief.
Variety counts here, not exactness: apparent heights differ at random from one kind of atom to the
next, as they do with bias, and whatever has no source was chosen.

A pitch is drawn first, evenly in its logarithm, then something that can be seen at it: atoms or
molecules in rows that are 2.5 to 50 pixels apart, or a relief without any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from ..errors import RecipeError
from ..scan import Quantity, Scan
from . import defects, dichalcogenides, graphene, metals, silicon, silicon001, silicon111
from .invented import Crystal, adsorbed, domains, spoiled
from .relief import Floats, Terraces, log_uniform, pattern, pixels, rough, standing_waves
from .specimen import Material
from .topograph import Array, Topograph

Range = tuple[float, float]

MATERIALS: dict[str, tuple[Material, float]] = {
    "graphene": (graphene.MATERIAL, 0.213),
    "mos2": (dichalcogenides.MOS2, 0.274),
    "wse2": (dichalcogenides.WSE2, 0.284),
    "si001h": (silicon001.SI001H, 0.384),
    "si111-7x7": (silicon111.SI111, 0.665),
    "au111": (metals.AU111, 0.250),
    "au111-22x3": (metals.AU111_RECONSTRUCTED, 0.250),
    "cu111": (metals.CU111, 0.221),
    "ag111": (metals.AG111, 0.250),
}
"""Each material, and how far the rows of what a tip tells apart are from each other, nm."""

RESOLVED = 2.5  #: [px] rows that are closer are not told apart
SEEN_SI001H = (0.03, 0.25)  #: [nm] pitches between which `silicon` is drawn from
HOLES = 0.15  #: of the crystals, those that a tip shows upside down: a net with holes, not bumps
KINDS = ("si001h", "material", "crystal", "smooth", "film")


@dataclass(frozen=True, slots=True)
class General:
    """How surfaces vary. The defaults are what general models are trained on.

    Attributes:
        pixel_nm: Pixel pitch, nm; drawn evenly in its logarithm.
        si001h, material, crystal, smooth, film: How often Si(001):H as in `silicon`, one of
            `materials`, a crystal of none, a relief without a lattice, and a layer without order
            are drawn, compared with each other, where they can be seen.
        materials: Names in `MATERIALS`.
        terraces: Probability of steps, islands or pits; twice that where there is no lattice.
        superstructure: Probability that a crystal has one.
        domains: Probability that a crystal has several.
        pattern: Probability of a moire, a charge density wave, a herringbone or stripes.
        waves: Probability of scatterers with standing waves or halos around them.
        patch: Probability that a part of a crystal is disordered.
        defects: Probability of each class of defects of a lattice.
        adsorbates: Probability of molecules or clusters.
        strain_sd: Standard deviation of each component of the strain: drift, and calibration.
        tilt_sd: Standard deviation of the background's slope, nm per nm.
        roughness_nm: Standard deviation of a rough relief, drawn evenly in its logarithm; thrice
            that where there is no lattice. (0, 0) for none.

    Raises:
        RecipeError: A range, a probability or a weight is none, a material is unknown, or nothing
            is left that can be seen at one end of the range of pitches.
    """

    pixel_nm: Range = (0.02, 0.4)
    si001h: float = 2.5
    material: float = 2.5
    crystal: float = 3.0
    smooth: float = 1.5
    film: float = 0.4
    materials: tuple[str, ...] = tuple(MATERIALS)
    terraces: float = 0.35
    superstructure: float = 0.5
    domains: float = 0.2
    pattern: float = 0.3
    waves: float = 0.25
    patch: float = 0.1
    defects: float = 0.5
    adsorbates: float = 0.35
    strain_sd: float = 0.02
    tilt_sd: float = 0.001
    roughness_nm: Range = (0.0002, 0.02)

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if field.type == "Range":
                low, high = value
                zero = name == "roughness_nm" and high == 0
                if not 0 <= low <= high < math.inf or (low == 0 and not zero):
                    raise RecipeError(f"{name} is a range (low, high) above 0, got {value}")
            elif field.type == "float" and not 0 <= value < math.inf:
                raise RecipeError(f"{name} is 0 or more, got {value}")
            elif name in PROBABILITIES and value > 1:
                raise RecipeError(f"{name} is a probability, 0 to 1, got {value}")
        for name in self.materials:
            if name not in MATERIALS:
                raise RecipeError(f"no material {name!r}; there are {', '.join(MATERIALS)}")
        for pixel_nm in self.pixel_nm:
            if not sum(self.weights(pixel_nm)):
                raise RecipeError(
                    f"nothing of this recipe can be seen at {pixel_nm:g} nm a pixel: "
                    f"change pixel_nm, or give weights to more of {', '.join(KINDS)}"
                )

    def seen(self, pixel_nm: float) -> list[str]:
        """Those of `materials` that are resolved at a pitch."""
        return [m for m in self.materials if MATERIALS[m][1] >= RESOLVED * pixel_nm]

    def weights(self, pixel_nm: float) -> list[float]:
        """How often each of `KINDS` is drawn at a pitch."""
        low, high = SEEN_SI001H
        share = len(self.seen(pixel_nm)) / max(len(self.materials), 1)
        # A relief without atoms says little where a few nm are all that is seen.
        here = (low <= pixel_nm <= high, share, 1.0, min(pixel_nm / 0.08, 1), 1.0)
        return [getattr(self, kind) * seen for kind, seen in zip(KINDS, here, strict=True)]


PROBABILITIES = ("terraces", "superstructure", "domains", "pattern", "waves", "patch")
PROBABILITIES += ("defects", "adsorbates")
TRAINING = General()


def surface(
    rng: np.random.Generator, shape: tuple[int, int] = (128, 128), recipe: General = TRAINING
) -> Scan:
    """A clean surface drawn from `recipe`: no damage, no acquisition noise.

    Args:
        rng: Where all randomness comes from: the same state gives the same bits.
        shape: (rows, columns).
        recipe: How surfaces vary.

    Returns:
        Heights in nm; the history says what was drawn.
    """
    pixel_nm = log_uniform(*recipe.pixel_nm, rng)
    weights = np.array(recipe.weights(pixel_nm))
    kind = KINDS[rng.choice(len(KINDS), p=weights / weights.sum())]
    if kind == "si001h":
        return silicon.surface(rng, shape, replace(silicon.TRAINING, pixel_nm=(pixel_nm, pixel_nm)))
    what, values = _Scene(kind, pixel_nm, shape, recipe, rng).drawn()
    history = (f"simulate {what}: {kind}, {pixel_nm:.3g} nm a pixel",)
    pixel = (pixel_nm, pixel_nm)
    return Scan(values.astype(np.float32), pixel, Quantity.HEIGHT, history=history)


class _Scene:
    """One surface while it is drawn: what its parts share."""

    def __init__(
        self,
        kind: str,
        pixel_nm: float,
        shape: tuple[int, int],
        recipe: General,
        rng: np.random.Generator,
    ) -> None:
        self.kind, self.pixel_nm, self.shape = kind, pixel_nm, shape
        self.recipe, self.rng = recipe, rng
        self.size_nm = np.array(shape) * pixel_nm
        self.least_nm = float(self.size_nm.min())
        self.loose = kind in ("smooth", "film")
        xx, xy, yx, yy = rng.normal(0, recipe.strain_sd, 4).tolist()
        strained = max(abs(xx) + abs(xy), abs(yx) + abs(yy))
        self.stretch = 1 / (1 - min(strained, 0.5))  # what it brings into the image
        self.topograph = Topograph(shape, pixel_nm, log_uniform(0.03, 0.13, rng), (xx, xy, yx, yy))
        self.angle = rng.uniform(0, 2 * np.pi)
        self.terraces = None
        if self.chance(recipe.terraces * (2 if self.loose else 1)):
            self.terraces = Terraces.drawn(self.size_nm, pixel_nm, rng)
        self.step_nm, self.stacking_nm = rng.uniform(0.08, 0.4), rng.uniform(-0.15, 0.15, 2)

    def chance(self, probability: float) -> bool:
        """Whether something is there."""
        return bool(self.rng.random() < probability)

    def drawn(self) -> tuple[str, Array]:
        """What it is, and its heights, nm."""
        background = self.background()  # before any defect, which must change nothing far away
        draw = {"material": self.material, "smooth": self.smooth}.get(self.kind, self.crystal)
        what = draw()
        if self.chance(self.recipe.adsorbates):
            self.add(*adsorbed(self.size_nm, self.pixel_nm, self.angle, self.rng))
        return what, self.topograph.heights_nm() + background

    def background(self) -> Floats:
        """All that is slow, nm."""
        rng, recipe, smooth = self.rng, self.recipe, self.kind == "smooth"
        x, y = pixels(self.shape, self.pixel_nm)
        down, across = rng.normal(0, recipe.tilt_sd, 2).astype(np.float32)
        z = down * y + across * x
        if recipe.roughness_nm[1]:
            rms_nm = log_uniform(*recipe.roughness_nm, rng) * (3 if self.loose else 1)
            z += np.float32(rms_nm) * rough(self.shape, rng.uniform(2.6, 4.5), rng)
        low_nm = max(0.4, 8 * self.pixel_nm) if smooth else max(0.9, 12 * self.pixel_nm)
        for often in (2 if smooth else 1, 0.3):  # sometimes one on the other
            if self.chance(often * recipe.pattern):
                period_nm = min(log_uniform(low_nm, max(0.6 * self.least_nm, low_nm), rng), 12.0)
                high_nm = np.float32(log_uniform(0.004, 0.4 if smooth else 0.06, rng))
                z += high_nm * pattern(x, y, period_nm, rng)
        if self.chance(recipe.waves):
            z += self.scattered(x, y)
        return z

    def scattered(self, x: Floats, y: Floats) -> Floats:
        """Standing waves, or halos of charges, around points; waves along steps, too; nm."""
        rng, px = self.rng, self.pixel_nm
        length_nm = log_uniform(max(0.5, 6 * px), 0.5 * self.least_nm, rng)
        high_nm = np.float32(rng.choice((-1, 1)) * log_uniform(0.003, 0.08, rng))
        phase, halo, bump_nm = rng.uniform(0, 2 * np.pi), self.chance(0.4), rng.normal(0, 0.08)
        bump_width_nm = max(rng.uniform(0.12, 0.3), 1.2 * px)
        z = np.zeros_like(x)
        for _ in range(min(rng.geometric(0.2), 8)):
            cx, cy = (rng.uniform(-0.55, 0.55, 2) * self.size_nm[::-1]).astype(np.float32)
            r = np.hypot(x - cx, y - cy)
            if halo:
                z += high_nm * np.exp(-((r / np.float32(length_nm)) ** 2))
            else:
                z += high_nm * standing_waves(r, length_nm, phase)
            z += np.float32(bump_nm) * np.exp(-((r / np.float32(bump_width_nm)) ** 2) / 2)
        if self.terraces and not halo:
            for d in self.terraces.distances_nm(x, y, straight=True):
                z += high_nm * standing_waves(d, length_nm, phase)
        return z

    def add(
        self,
        x: Array,
        y: Array,
        h: Array,
        width_nm: float,
        longer: float = 1.0,
        stacked: bool = False,
    ) -> None:
        """Gaussians at these places, on whichever terrace is there; nm.

        `longer` of them are along the crystal. If `stacked`, the lattice of each terrace is
        displaced against that of the one below, three times before it is the first again.
        """
        height, width = self.size_nm / 2 * self.stretch + 4 * width_nm + 0.5
        near = (abs(x) < width) & (abs(y) < height)
        x, y, h = x[near], y[near], h[near]
        lengths = self.angle, longer * width_nm, width_nm
        if self.terraces is None:
            self.topograph.add(x, y, h, *lengths)
            return
        for level in range(len(self.terraces.layers) + 1):
            u, v = self.stacking_nm * (level % 3 * stacked)
            there = self.terraces.distances_nm(x + u, y + v)
            on = np.rint(self.terraces.levels(there, 1e-3)) == level
            self.topograph.add(x[on] + u, y[on] + v, h[on] + level * self.step_nm, *lengths)

    def floor(self, depth_nm: float, blur_nm: float) -> None:
        """What lies `depth_nm` below the atoms, smooth, and is met where there are none."""
        level = np.zeros(self.shape)
        if self.terraces is not None:
            there = self.terraces.distances_nm(*pixels(self.shape, self.pixel_nm))
            level += self.terraces.levels(there, max(blur_nm, 0.7 * self.pixel_nm))
        self.ground = np.exp(level * (self.step_nm / self.topograph.decay_nm))
        self.topograph.current += self.ground * math.exp(-depth_nm / self.topograph.decay_nm)

    def smooth(self) -> str:
        """Terraces without atoms."""
        self.floor(0.0, self.rng.uniform(0.1, 0.5))
        return "a surface without atoms"

    def material(self) -> str:
        """A material, its kinds of atoms as high as they may be at some bias."""
        rng, names = self.rng, self.recipe.seen(self.pixel_nm)
        made, apart_nm = MATERIALS[names[rng.integers(len(names))]]
        shown_nm = rng.normal(0, 0.03, len(made.kinds))
        self.floor(rng.uniform(0.15, 0.4), 0.1)
        width_nm = max(apart_nm * rng.uniform(0.27, 0.5), 0.85 * self.pixel_nm)
        dense = {
            kind: min(per_nm2 * log_uniform(0.2, 6, rng), 0.3)
            for kind, per_nm2 in made.densities_per_nm2.items()
            if kind != "step" and self.chance(self.recipe.defects)  # terraces are drawn already
        }
        height, width = (self.size_nm * self.stretch + 1).tolist()
        piece = made.specimen(dense, (height, width), math.degrees(self.angle), rng)
        x, y, z = piece.positions_nm.T
        self.add(x, y, z + shown_nm[piece.kinds], width_nm, stacked=True)
        return made.name

    def crystal(self) -> str:
        """A crystal of no material, or, for a film, one of which nothing but its atoms is left."""
        rng, recipe, px, film = self.rng, self.recipe, self.pixel_nm, self.kind == "film"
        largest_nm = max(16 * px, 0.25) if film else min(3.0, 48 * px)
        a_nm = log_uniform(max(0.2, 1.2 * RESOLVED * px), largest_nm, rng)
        crystal = Crystal.drawn(a_nm, recipe.superstructure, rng)
        width_nm, longer = max(crystal.width_nm, 0.85 * px), rng.choice((1.0, rng.uniform(1, 1.5)))
        rough_nm = log_uniform(0.03, 0.5, rng) if film else rng.uniform(0.03, 0.15)
        patch = defects.disorder(self.size_nm, rng.uniform(0.5, 1), rng)
        patched = film or self.chance(recipe.patch)
        several = not film and self.chance(recipe.domains)
        self.floor(log_uniform(0.06, 0.4, rng), 0.1)
        domain = domains(self.size_nm, self.angle, rng) if several else None
        turned, reach_nm = self.chance(0.5), np.hypot(*self.size_nm) / 2 * self.stretch
        for k in range(3 if domain else 1):
            angle = self.angle + k * turned * rng.choice((np.pi / 3, np.pi / 2, rng.random()))
            shift = rng.random(2) @ crystal.vectors_nm * (turned or not domain)
            x, y, h = crystal.sites(reach_nm, angle, shift, int(rng.integers(9)) if k else 0)
            if patched:
                hit = np.nonzero(rng.random(h.shape) < (1 if film else patch(x, y)))
                x[hit] += rng.normal(0, 0.4 * a_nm, hit[0].size)
                y[hit] += rng.normal(0, 0.4 * a_nm, hit[0].size)
                h[hit] = rng.normal(0, rough_nm, hit[0].size)
            x, y, h = spoiled(x, y, h, crystal.vectors_nm, recipe.defects, rng)
            here = domain(x, y) == k if domain else slice(None)
            self.add(x[here], y[here], h[here], width_nm, longer, stacked=True)
        if not film and self.chance(HOLES):
            self.topograph.current = self.ground**2 / self.topograph.current
        p, q, r = crystal.superstructure
        cell = f"{crystal.name} {p} {q} 0 {r}, a1 {a_nm:.2g} nm, {len(crystal.h_nm)} in its cell"
        return f"grains {a_nm:.2g} nm wide" if film else cell
