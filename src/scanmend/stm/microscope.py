"""The whole microscope: from an experiment to scans with their truth.

Scans are taken in sessions. Those of a session share the tip, the bias and the frame, and so all
that can be prepared for them; each has a surface, gains, noise and a way of its own. A session is
made as a whole, so that a scan is the same whichever others are asked for.

Everything happens in the frame's coordinates: the origin is its middle, x runs along its columns'
axis, and the crystal, the tip and the way are turned into them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import ThreadpoolController

from ..crystals.specimen import Defect, Specimen, inside
from ..errors import SimulationError
from .current import Array, Electrode, Junction
from .electrons import Electrons
from .experiment import Experiment
from .exposure import Exposure
from .feedback import follow
from .log_current import LogCurrent, axes_over, planes_within
from .piezo import tracks
from .raster import Raster, Track
from .session import Conditions, Session, parameters
from .simulation import SeenDefect, Simulation
from .spectral import LEAST_DISTANCE_NM, Accuracy
from .tip import ENERGIES_EV
from .topograph import currents_on_planes

ENERGY_STEP_EV = 0.05  #: [eV] as wide as levels are: the trapezoidal rule errs by 0.2 %
MARGIN_NM = 1.0  #: [nm] from the way of each apex to the edge of the atoms
PITCH_NM = 0.0625  #: [nm] of the grid of currents, so that splines follow a lattice
COARSE_NM = 0.1  #: [nm] pixels from which on they are no more to be seen, and the grid is theirs
PERFECT_NM = 6.0  #: [nm] side of the perfect piece that says how high the tip runs
STRAY, STRAY_NM = 0.1, 0.25  #: how far the way may lead out of the frame: a share of it, and more
BELOW_NM, ABOVE_NM = 0.15, 0.15  #: [nm] around the mean height, for which currents are known
SQUARE_NM = 0.8  #: [nm] side of squares in each of which a terrace has atoms on top
WIDEST_NM = 300.0  #: [nm] of a frame: a million atoms
SEARCH_NM = (0.1, 3.0)  #: [nm] where the mean height is looked for
STEPS = 20  #: in which it is found, or is not there

EVERYDAY = Accuracy(3e-5, 1e-4, 3e-5, np.float32)
"""Heights to 1e-5 nm above one terrace, 1e-4 nm above several: less than noise does to them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """What lies before the loops of scans of a session, each in the frame's coordinates."""

    raster: Raster
    ways: Sequence[Track]
    strays: Sequence[str | None]
    specimens: Sequence[Specimen]
    ideals: Sequence[LogCurrent]
    surfaces: Sequence[LogCurrent]


class Microscope:
    """A microscope made for an experiment, with what all its sessions share.

    Raises:
        SimulationError: Something in the experiment cannot be carried out.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self._libraries = experiment, ThreadpoolController()
        self._kept: tuple[Hashable, _Laid] | None = None
        biases, widths, rows, columns = (
            [float(value) for value in experiment.extremes(table, key)]
            for table, key in (
                ("tunnelling", "bias_V"),
                ("frame", "width_nm"),
                ("frame", "rows"),
                ("frame", "columns"),
            )
        )
        if max(map(abs, biases)) > ENERGIES_EV[-1] or max(widths) > WIDEST_NM:
            raise SimulationError(
                f"a bias goes up to {ENERGIES_EV[-1]:g} V either way, and a frame up to "
                f"{WIDEST_NM:g} nm, got {max(biases, key=abs):g} V and {max(widths):g} nm"
            )
        steps = math.ceil(max(map(abs, biases)) / ENERGY_STEP_EV) + 1
        filled, empty = steps * (min(biases) < 0), steps * (max(biases) > 0)
        energies = np.arange(-max(filled, 1), max(empty, 1) + 1) * ENERGY_STEP_EV
        width = max(widths)
        margin_nm = MARGIN_NM + max(abs(float(d)) for d in experiment.extremes("tip", "double_nm"))
        size_nm = width * max(rows) / min(columns), width
        widest_nm = math.hypot(*_piece_nm(size_nm, margin_nm)) + 1  # for atoms that are moved
        self._electrons = Electrons(experiment.surface, experiment.electrons, energies, widest_nm)
        size_nm = PERFECT_NM, PERFECT_NM
        self._perfect = experiment.surface.specimen({}, size_nm, 0.0, np.random.default_rng(0))

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
        if min(seed, session) < 0:
            raise SimulationError(f"seeds and numbers are 0 or more, got {seed} and {session}")
        # Sums in several threads are rounded otherwise, and scans are to be the same everywhere.
        with self._libraries.limit(limits=1, user_api="blas"):
            return self._session(seed, session)

    def exposure(self, seed: int, number: int) -> Exposure:
        """One scan by itself, at once, and what went into it.

        Currents are known on a grid of its own, not on that of its whole session, so that heights
        differ from those of `scan` by what `EVERYDAY` allows. What lies before the loop is kept for
        the next call, should it only ask for other gains or another noise.

        Raises:
            SimulationError: As for `session`.
        """
        if min(seed, number) < 0:
            raise SimulationError(f"seeds and numbers are 0 or more, got {seed} and {number}")
        with self._libraries.limit(limits=1, user_api="blas"):
            shared, each = self._drawn(seed, range(number, number + 1))
            before = seed, number, shared.frame, shared.tunnelling, shared.tip
            (scan,) = each
            key = *before, scan.surface, *scan.defects_per_nm2.items(), scan.motion
            if self._kept is None or self._kept[0] != key:
                self._kept = key, self._laid(seed, range(number, number + 1), shared, each)
            (made,) = self._exposures(seed, range(number, number + 1), shared, each, self._kept[1])
        return made

    def turned_to(self, experiment: Experiment) -> Microscope:
        """This one for another experiment, on the same material, with the electrons that it has.

        They must do: no wider a frame, no larger a bias, no second apex farther away.
        """
        other = copy.copy(self)
        other.experiment = experiment
        return other

    def _session(self, seed: int, session: int) -> list[Simulation]:
        first = session * self.experiment.scans_per_session
        numbers = range(first, first + self.experiment.scans_per_session)
        shared, each = self._drawn(seed, numbers)
        laid = self._laid(seed, numbers, shared, each)
        return [one.simulation for one in self._exposures(seed, numbers, shared, each, laid)]

    def _drawn(self, seed: int, numbers: range) -> tuple[Session, list[Conditions]]:
        """What is drawn for scans of one session."""
        session = numbers[0] // self.experiment.scans_per_session
        shared = Session.drawn(self.experiment, seed, session)
        return shared, [Conditions.drawn(self.experiment, seed, number) for number in numbers]

    def _laid(
        self, seed: int, numbers: range, shared: Session, each: Sequence[Conditions]
    ) -> _Laid:
        """All that lies before the loop."""
        experiment = self.experiment
        raster = replace(shared.raster, angle_deg=0.0)  # as the frame sees it
        margin_nm = _margin_nm(shared)
        piece_nm, pixels = _piece_nm(raster.size_nm, margin_nm), raster.middles()
        ways = _ways(shared, each, [experiment.stream("way", seed, n) for n in numbers])
        ways, strays = zip(*(_held(way, piece_nm, margin_nm) for way in ways), strict=True)
        specimens = [
            experiment.surface.specimen(
                conditions.defects_per_nm2,
                piece_nm,
                conditions.surface.angle_deg - shared.frame.angle_deg,
                experiment.stream("atoms", seed, number),
            )
            for conditions, number in zip(each, numbers, strict=True)
        ]
        return _Laid(
            raster, ways, strays, specimens, *self._currents(shared, pixels, ways, specimens)
        )

    def _exposures(
        self,
        seed: int,
        numbers: range,
        shared: Session,
        each: Sequence[Conditions],
        laid: _Laid,
    ) -> list[Exposure]:
        """The scans: the loop follows, and what it wrote down becomes images."""
        experiment, raster = self.experiment, laid.raster
        topographs = follow(
            [conditions.loop(shared) for conditions in each],
            laid.surfaces,
            [way.lift_nm for way in laid.ways],
            [experiment.stream("current", seed, number) for number in numbers],
        )
        made = []
        for i, topograph in enumerate(topographs):
            ideal, way, specimen = laid.ideals[i], laid.ways[i], laid.specimens[i]
            ideal_nm = ideal.heights_nm(shared.tunnelling.setpoint_nA, extended=True)
            simulation = Simulation(
                *(experiment.name, seed, numbers[i], shared.pixel_nm),
                *raster.images(topograph.height_nm),
                *raster.images(topograph.current_nA),
                ideal_nm.reshape(raster.shape).astype(np.float32),
                _seen(raster, way, specimen.defects),
                parameters(shared, each[i]),
                laid.strays[i] or _out_of_reach(ideal, shared) or topograph.fault,
            )
            made.append(Exposure(simulation, raster, way, specimen, ideal, topograph.current_nA))
        return made

    def _currents(
        self,
        session: Session,
        pixels: Track,
        ways: Sequence[Track],
        specimens: Sequence[Specimen],
    ) -> tuple[list[LogCurrent], list[LogCurrent]]:
        """Above the pixels, and along its way, of each specimen."""
        pitch_nm = session.pixel_nm
        if pitch_nm < COARSE_NM:
            pitch_nm = min(pitch_nm, PITCH_NM)
        axes = axes_over([*ways, pixels], pitch_nm)
        margin_nm = _margin_nm(session)
        electrodes = [
            self._electrons.electrode(specimen, *session.window_eV)
            for specimen in (self._perfect, *(_around(one, *axes, margin_nm) for one in specimens))
        ]
        perfect, *samples = electrodes
        junction = session.junction(max(samples, key=_top_nm))
        heights = _heights_nm(
            replace(junction, sample=perfect), samples, session.tunnelling.setpoint_nA
        )
        planes = planes_within(heights)
        stacks = currents_on_planes(junction, *axes, planes, samples, EVERYDAY)
        both = [
            LogCurrent.along(pixels.and_then(way), *axes, planes, stack, heights)
            for way, stack in zip(ways, stacks, strict=True)
        ]
        ideals, surfaces = zip(*(one.split(pixels.x_nm.size) for one in both), strict=True)
        return list(ideals), list(surfaces)


def _ways(
    session: Session, each: Sequence[Conditions], rngs: Sequence[np.random.Generator]
) -> list[Track]:
    """Where the tip goes in each scan, in the coordinates of the frame."""
    scanners = [one.scanner(rng) for one, rng in zip(each, rngs, strict=True)]
    ways = tracks(scanners, session.raster, rngs)
    if not session.frame.angle_deg:
        return ways
    turn = math.radians(session.frame.angle_deg)
    c, s = math.cos(turn), math.sin(turn)
    return [
        replace(way, x_nm=c * way.x_nm + s * way.y_nm, y_nm=c * way.y_nm - s * way.x_nm)
        for way in ways
    ]


def _margin_nm(session: Session) -> float:
    """How far atoms reach beyond the tip's way, nm: a second apex is to meet some, too."""
    return MARGIN_NM + abs(session.tip.double_nm)


def _piece_nm(size_nm: tuple[float, float], margin_nm: float) -> tuple[float, float]:
    """How large a piece of surface is drawn for a frame, nm; however far the tip then strays."""
    height, width = (side * (1 + 2 * STRAY) + 2 * (STRAY_NM + margin_nm) for side in size_nm)
    return height, width


def _held(way: Track, piece_nm: tuple[float, float], margin_nm: float) -> tuple[Track, str | None]:
    """The way without what leads so far that there is no surface, and what was wrong with it."""
    height, width = (side / 2 - margin_nm for side in piece_nm)
    x_nm, y_nm = np.clip(way.x_nm, -width, width), np.clip(way.y_nm, -height, height)
    beyond = max(float(np.abs(way.x_nm - x_nm).max()), float(np.abs(way.y_nm - y_nm).max()))
    if not beyond:
        return way, None
    return replace(way, x_nm=x_nm, y_nm=y_nm), (
        f"the tip strays {beyond:.3g} nm beyond the piece of surface that was drawn, and is held "
        "at its edge: less creep, drift or lag, or a larger frame"
    )


def _around(specimen: Specimen, x_nm: Array, y_nm: Array, margin_nm: float) -> Specimen:
    """Its atoms within a margin of a grid; all that scatters stays."""
    x, y, _ = specimen.positions_nm.T
    near = np.flatnonzero(
        (x >= x_nm[0] - margin_nm)
        & (x <= x_nm[-1] + margin_nm)
        & (y >= y_nm[0] - margin_nm)
        & (y <= y_nm[-1] + margin_nm)
    )
    return replace(
        specimen,
        positions_nm=specimen.positions_nm[near],
        kinds=specimen.kinds[near],
        sites=specimen.sites[near],
    )


def _top_nm(sample: Electrode) -> float:
    return float(sample.positions_nm[:, 2].max())


def _heights_nm(
    perfect: Junction, samples: Sequence[Electrode], setpoint_nA: float
) -> tuple[float, float]:
    """Between which heights currents are to be known, so that the tip has room above all samples.

    That is as far above their terraces as above a perfect surface, and no nearer to any atom than
    waves allow.

    Raises:
        SimulationError: At no height does the setpoint flow, or only too near.
    """
    above_nm = _mean_height_nm(perfect, setpoint_nA, PERFECT_NM**2)
    if above_nm < LEAST_DISTANCE_NM:
        raise SimulationError(
            f"at {setpoint_nA:.3g} nA the tip runs {above_nm:.3g} nm above the surface, and "
            f"touches it; {LEAST_DISTANCE_NM} nm are wanted: lower the setpoint, or choose a bias "
            "at which there are more states"
        )
    tops = [_tops_nm(sample) for sample in samples]
    low, high = min(float(t.min()) for t in tops), max(float(t.max()) for t in tops)
    nearest_nm = high + LEAST_DISTANCE_NM
    return max(above_nm + low - BELOW_NM, nearest_nm), above_nm + max(high, 0.0) + ABOVE_NM


def _mean_height_nm(junction: Junction, setpoint_nA: float, area_nm2: float) -> float:
    r"""Where the mean of the current over an area is the setpoint, nm.

    .. math:: \bar I(z) = \frac{2\pi}{a^2 A} \sum_{ij} w_{ij} (1 + a h_{ij}) e^{-a h_{ij}}

    (the wave of k = 0, see `stm.spectral`).
    """
    a = junction.decay_per_nm
    densities = junction.densities()
    atoms = (junction.sample.positions_nm[:, 2], junction.tip.positions_nm[:, 2])
    (depths, below), (heights, above) = map(_by_plane, atoms, densities)
    weights = np.abs(above @ below.T) * (2 * math.pi / (a * a * area_nm2))
    apart = heights[:, None] - depths

    z_nm, mean_nA = sum(SEARCH_NM) / 2, 0.0
    for _ in range(STEPS):
        height = z_nm + apart
        mean_nA = float(np.sum(weights * (1 + a * height) * np.exp(-a * height)))
        # As on a logarithm; what the factor 1 + a h leaves is gone after a few steps.
        step = math.log(mean_nA / setpoint_nA) / a if mean_nA > 0 else -math.inf
        z_nm = min(max(z_nm + step, SEARCH_NM[0]), SEARCH_NM[1])
        if abs(step) < 1e-3:
            return z_nm
    raise SimulationError(
        f"the setpoint of {setpoint_nA:.3g} nA is out of reach: {mean_nA:.3g} nA flow on average "
        f"{z_nm:.3g} nm above the surface: "
        + ("change the setpoint" if mean_nA > 0 else "raise the bias to where there are states")
    )


def _by_plane(heights_nm: Array, densities: Array) -> tuple[Array, Array]:
    """The heights of planes of atoms, and the sums of what is given for each atom of a plane."""
    planes, which = np.unique(np.round(heights_nm, 3), return_inverse=True)
    return planes, (np.arange(planes.size)[:, None] == which).astype(np.float64) @ densities


def _tops_nm(sample: Electrode) -> Array:
    """The heights of the highest atoms in squares of `SQUARE_NM`, nm."""
    across, down = np.floor(sample.positions_nm[:, :2].T / SQUARE_NM).astype(np.int64)
    square = across * 100_000 + down
    order = np.argsort(square)
    firsts = np.flatnonzero(np.diff(square[order], prepend=square[order[0]] - 1))
    return np.maximum.reduceat(sample.positions_nm[order, 2], firsts)


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
    x_nm, y_nm = np.array([(defect.x_nm, defect.y_nm) for defect in defects]).T
    trace, retrace = raster.pixels(way, x_nm, y_nm)
    shown = inside(x_nm, y_nm, raster.size_nm)
    shown |= np.isfinite(trace[:, 0]) | np.isfinite(retrace[:, 0])
    return tuple(
        SeenDefect(defect.kind, defect.x_nm, defect.y_nm, (r, c), (r_back, c_back))
        for defect, (r, c), (r_back, c_back), there in zip(
            defects, trace.tolist(), retrace.tolist(), shown, strict=True
        )
        if there
    )
