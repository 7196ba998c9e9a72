"""The whole microscope: from an experiment to scans with their truth.

Scans are taken in sessions. Those of a session share the tip, the bias and the frame, and so all
that can be prepared for them; each has a surface, gains, noise and a way of its own. A session is
made as a whole, so that a scan is the same whichever others are asked for.

Everything happens in the frame's coordinates: the origin is its middle, x runs along its columns'
axis, and the crystal, the tip and the way are turned into them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..crystals.specimen import Defect
from ..errors import SimulationError
from .current import Array, Electrode, Junction
from .electrons import Electrons
from .experiment import Experiment
from .feedback import Loop, follow
from .log_current import LogCurrent, axes_over, planes_within
from .noise import CurrentNoise
from .parameters import Apex, Electronics, Frame, Gains, Motion, Noise, Surface, Tunnelling
from .piezo import BoucWen, Creep, Drift, Scanner, tracks
from .raster import Raster, Track
from .simulation import SeenDefect, Simulation
from .spectral import LEAST_DISTANCE_NM, Accuracy
from .tip import Tip
from .topograph import currents_on_planes

ENERGY_STEP_EV = 0.05  #: [eV] as wide as levels are: the trapezoidal rule errs by 0.2 %
MARGIN_NM = 1.2  #: [nm] from the tip's way to the edge of the atoms
BELOW_NM, ABOVE_NM = 0.2, 0.2  #: [nm] around the mean height, for which currents are known
SQUARE_NM = 0.8  #: [nm] side of squares in each of which a terrace has atoms on top
SEARCH_NM = (0.1, 3.0)  #: [nm] where the mean height is looked for

EVERYDAY = Accuracy(3e-6, 1e-5, 3e-6, np.float32)
"""Heights to 1e-5 nm: a thousandth of what noise does to them."""


@dataclass(frozen=True, slots=True)
class Session:
    """What is drawn once for all scans of a session."""

    frame: Frame
    tunnelling: Tunnelling
    tip: Apex
    electronics: Electronics

    @property
    def pixel_nm(self) -> float:
        """Pixel pitch, nm."""
        return self.frame.width_nm / self.frame.columns

    @property
    def raster(self) -> Raster:
        """What the electronics command, in the coordinates of the scanner."""
        f = self.frame
        return Raster(
            *((f.rows, f.columns), f.size_nm, f.line_s, f.fast_axis, f.begins, f.angle_deg)
        )

    def junction(self, sample: Electrode) -> Junction:
        """The tip above a sample."""
        t, given = self.tunnelling, self.tip
        apices: tuple[tuple[float, float, float], ...] = ()
        if given.double_nm:
            turn = math.radians(given.double_angle_deg - self.frame.angle_deg)
            x, y = given.double_nm * math.cos(turn), given.double_nm * math.sin(turn)
            apices = ((x, y, given.double_higher_nm),)
        rotation = given.rotation_deg - self.frame.angle_deg
        tip = Tip(given.shape, given.dulled, given.end_atoms, rotation, given.tilt_deg, apices)
        return Junction(sample, tip.electrode(), t.bias_V, t.barrier_eV, t.coupling_eV)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is drawn for each scan."""

    surface: Surface
    defects_per_nm2: dict[str, float]
    gains: Gains
    noise: Noise
    motion: Motion


class Microscope:
    """A microscope made for an experiment, with what all its sessions share.

    Raises:
        SimulationError: Something in the experiment cannot be carried out.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        steps = math.ceil(experiment.most("tunnelling", "bias_V") / ENERGY_STEP_EV) + 1
        energies = np.arange(-steps, steps + 1) * ENERGY_STEP_EV
        width = experiment.most("frame", "width_nm")
        rows, columns = (experiment.most("frame", key) for key in ("rows", "columns"))
        # Half as wide again, for ways that stray.
        widest_nm = 1.5 * math.hypot(width, width * rows / columns) + 4 * MARGIN_NM
        self._electrons = Electrons(experiment.surface, experiment.electrons, energies, widest_nm)

    def scan(self, seed: int, number: int) -> Simulation:
        """One scan of the experiment, by its number."""
        session, place = divmod(number, self.experiment.scans_per_session)
        return self.session(seed, session)[place]

    def session(self, seed: int, session: int) -> list[Simulation]:
        """All scans of a session.

        Raises:
            SimulationError: What was drawn cannot be carried out: a setpoint that is not reached,
                more defects than there is room for, a loop or a piezo that cannot be.
        """
        drawn = self.experiment
        shared = Session(
            drawn.draw("frame", Frame, seed, session),
            drawn.draw("tunnelling", Tunnelling, seed, session),
            drawn.draw("tip", Apex, seed, session),
            drawn.draw("electronics", Electronics, seed, session),
        )
        first = session * drawn.scans_per_session
        numbers = range(first, first + drawn.scans_per_session)
        each = [
            Conditions(
                drawn.draw("surface", Surface, seed, number),
                drawn.densities(seed, number),
                drawn.draw("gains", Gains, seed, number),
                drawn.draw("noise", Noise, seed, number),
                drawn.draw("motion", Motion, seed, number),
            )
            for number in numbers
        ]
        ways = _ways(shared, each, [drawn.stream("way", seed, number) for number in numbers])
        raster = replace(shared.raster, angle_deg=0.0)
        pixels = _pixels(raster)
        axes = axes_over([*ways, pixels], shared.pixel_nm)
        size_nm = [2 * (float(np.abs(axis).max()) + MARGIN_NM) for axis in axes]
        specimens = [
            drawn.surface.specimen(
                conditions.defects_per_nm2,
                (size_nm[1], size_nm[0]),
                conditions.surface.angle_deg - shared.frame.angle_deg,
                drawn.stream("atoms", seed, number),
            )
            for conditions, number in zip(each, numbers, strict=True)
        ]
        window = sorted((0.0, shared.tunnelling.bias_V))
        samples = [self._electrons.electrode(specimen, *window) for specimen in specimens]
        junction = shared.junction(max(samples, key=_top_nm))
        heights = _heights_nm(shared, samples, math.prod(size_nm))
        planes = planes_within(heights)
        surfaces, ideals = [], []
        stacks = currents_on_planes(junction, *axes, planes, samples, EVERYDAY)
        for way, stack in zip(ways, stacks, strict=True):
            ideal, surface = LogCurrent.along(
                pixels.and_then(way), *axes, planes, stack, heights
            ).split(pixels.x_nm.size)
            surfaces.append(surface)
            ideals.append(ideal)
        setpoint = shared.tunnelling.setpoint_nA
        topographs = follow(
            [_loop(shared, conditions) for conditions in each],
            surfaces,
            [way.lift_nm for way in ways],
            [drawn.stream("current", seed, number) for number in numbers],
        )
        return [
            Simulation(
                *(drawn.name, seed, number, shared.pixel_nm),
                *raster.images(topograph.height_nm),
                *raster.images(topograph.current_nA),
                ideal.heights_nm(setpoint, extended=True).reshape(raster.shape).astype(np.float32),
                _seen(raster, way, specimen.defects),
                _parameters(shared, conditions),
                _out_of_reach(ideal, shared) or topograph.fault,
            )
            for number, conditions, way, specimen, ideal, topograph in zip(
                numbers, each, ways, specimens, ideals, topographs, strict=True
            )
        ]


def _ways(
    session: Session, each: Sequence[Conditions], rngs: Sequence[np.random.Generator]
) -> list[Track]:
    """Where the tip goes in each scan, in the coordinates of the frame."""
    scanners = [_scanner(c.motion, rng) for c, rng in zip(each, rngs, strict=True)]
    ways = tracks(scanners, session.raster, rngs)
    if not session.frame.angle_deg:
        return ways
    turn = math.radians(session.frame.angle_deg)
    c, s = math.cos(turn), math.sin(turn)
    return [
        replace(way, x_nm=c * way.x_nm + s * way.y_nm, y_nm=c * way.y_nm - s * way.x_nm)
        for way in ways
    ]


def _pixels(raster: Raster) -> Track:
    """The middles of the pixels, row by row."""
    (rows, columns), (height, width) = raster.shape, raster.size_nm
    row, column = np.indices(raster.shape).reshape(2, -1)
    x_nm, y_nm = ((column + 0.5) / columns - 0.5) * width, ((row + 0.5) / rows - 0.5) * height
    return Track(np.zeros(row.size), x_nm, y_nm, np.zeros(row.size))


def _scanner(motion: Motion, rng: np.random.Generator) -> Scanner:
    """Lateral creep and drift go in directions of chance."""
    one, other = rng.uniform(0, 2 * math.pi, 2)
    creep, drift = motion.creep_nm, motion.drift_nm_per_min / 60
    return Scanner(
        _piezo(motion.lag, motion.lag_length_nm, motion.lag_skew),
        Creep((creep * math.cos(one), creep * math.sin(one), motion.creep_z_nm)),
        Drift(
            (drift * math.cos(other), drift * math.sin(other), motion.drift_z_nm_per_min / 60),
            (motion.walk_nm, motion.walk_nm, motion.walk_z_nm),
        ),
        (motion.jitter_nm, motion.jitter_nm, motion.jitter_z_nm),
        (motion.tilt_x_deg, motion.tilt_y_deg),
    )


def _piezo(lag: float, length_nm: float, skew: float) -> BoucWen:
    return BoucWen(beta=-lag, B_per_nm=1 / length_nm, C_per_nm=skew / length_nm)


def _loop(session: Session, conditions: Conditions) -> Loop:
    electronics, motion = session.electronics, conditions.motion
    return Loop(
        session.tunnelling.setpoint_nA,
        **asdict(conditions.gains),
        window_cycles=electronics.window_cycles,
        cycles_per_point=electronics.cycles_per_point,
        logarithmic=electronics.amplifier == "log",
        noise=CurrentNoise(**asdict(conditions.noise)),
        piezo=_piezo(motion.lag_z, motion.lag_length_z_nm, motion.lag_skew),
    )


def _top_nm(sample: Electrode) -> float:
    return float(sample.positions_nm[:, 2].max())


def _heights_nm(
    session: Session, samples: Sequence[Electrode], area_nm2: float
) -> tuple[float, float]:
    """Between which heights currents are to be known, so that the tip has room above all samples.

    That is around where the mean of the current is right, farther down by as much as their terraces
    differ, up by as much as atoms stick out, and no nearer to these than waves allow.

    Raises:
        SimulationError: At no height does the setpoint flow, or only too near.
    """
    ranges = []
    for sample in samples:
        mean = _mean_height_nm(session, sample, area_nm2)
        tops = _tops_nm(sample)
        if mean < tops.max() + LEAST_DISTANCE_NM:
            raise SimulationError(
                f"at {session.tunnelling.setpoint_nA:.3g} nA the tip runs {mean:.3g} nm above the "
                f"surface, where atoms reach up to {tops.max():.3g} nm, and touches them: lower "
                "the setpoint"
            )
        ranges.append((mean - np.ptp(tops) - BELOW_NM, mean + max(0.0, tops.max()) + ABOVE_NM))
    low, high = (f(axis) for f, axis in zip((min, max), zip(*ranges, strict=True), strict=True))
    return max(low, max(map(_top_nm, samples)) + LEAST_DISTANCE_NM), high


def _mean_height_nm(session: Session, sample: Electrode, area_nm2: float) -> float:
    r"""Where the mean of the current over an area is the setpoint, nm.

    .. math:: \bar I(z) = \frac{2\pi}{a^2 A} \sum_{ij} w_{ij} (1 + a h_{ij}) e^{-a h_{ij}}

    (the wave of k = 0, see `stm.spectral`).
    """
    junction, setpoint = session.junction(sample), session.tunnelling.setpoint_nA
    a = junction.decay_per_nm
    densities = junction.densities()
    atoms = (sample.positions_nm[:, 2], junction.tip.positions_nm[:, 2])
    (depths, below), (heights, above) = map(_by_plane, atoms, densities)
    weights = np.abs(above @ below.T) * (2 * math.pi / (a * a * area_nm2))
    apart = heights[:, None] - depths

    def mean_nA(z_nm: float) -> float:
        height = z_nm + apart
        return float(np.sum(weights * (1 + a * height) * np.exp(-a * height)))

    low, high = SEARCH_NM
    near, far = mean_nA(low), mean_nA(high)
    if not far < setpoint < near:
        raise SimulationError(
            f"the setpoint of {setpoint:.3g} nA is out of reach: from {low:g} to {high:g} nm "
            f"above the surface, {near:.3g} to {far:.3g} nA flow on average: "
            + ("change the setpoint" if near else "raise the bias to where there are states")
        )
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if mean_nA(middle) > setpoint else (low, middle)
    return low


def _by_plane(heights_nm: Array, densities: Array) -> tuple[Array, Array]:
    """The heights of planes of atoms, and the sums of what is given for each atom of a plane."""
    planes, which = np.unique(np.round(heights_nm, 3), return_inverse=True)
    sums = np.zeros((len(planes), densities.shape[1]))
    np.add.at(sums, which, densities)
    return planes, sums


def _tops_nm(sample: Electrode) -> Array:
    """The heights of the highest atoms in squares of `SQUARE_NM`, nm."""
    place = np.floor(sample.positions_nm[:, :2] / SQUARE_NM).astype(np.int64)
    _, square = np.unique(place[:, 0] * 1_000_003 + place[:, 1], return_inverse=True)
    tops = np.full(square.max() + 1, -np.inf)
    np.maximum.at(tops, square, sample.positions_nm[:, 2])
    return tops


def _out_of_reach(ideal: LogCurrent, session: Session) -> str | None:
    """Which pixel lies so high or so deep that its height is only continued from others, if any."""
    missed = ideal.out_of_reach(session.tunnelling.setpoint_nA)
    if not missed.size:
        return None
    row, column = divmod(int(missed[0]), session.frame.columns)
    low, high = ideal.range_nm
    return (
        f"the setpoint of {session.tunnelling.setpoint_nA:.3g} nA is not reached at {missed.size} "
        f"pixels with the tip from {low:.3g} to {high:.3g} nm, at row {row}, column {column} for "
        "one: the surface is too deep or too high there, and heights are extrapolated"
    )


def _seen(raster: Raster, way: Track, defects: Sequence[Defect]) -> tuple[SeenDefect, ...]:
    """Those of the defects that are in the frame, or in one of the images."""
    if not defects:
        return ()
    places = np.array([(defect.x_nm, defect.y_nm) for defect in defects])
    trace, retrace = raster.pixels(way, *places.T)
    height, width = raster.size_nm
    inside = (np.abs(places) <= (width / 2, height / 2)).all(axis=1)
    shown = inside | np.isfinite(trace[:, 0]) | np.isfinite(retrace[:, 0])
    return tuple(
        SeenDefect(
            defects[i].kind, defects[i].x_nm, defects[i].y_nm, tuple(trace[i]), tuple(retrace[i])
        )
        for i in np.flatnonzero(shown)
    )


def _parameters(session: Session, conditions: Conditions) -> dict[str, dict[str, Any]]:
    """Every parameter that was drawn, by its table."""
    return asdict(session) | asdict(conditions)
