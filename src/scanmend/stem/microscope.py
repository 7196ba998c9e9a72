"""The whole microscope: from an experiment to counts of electrons, with their truth.

Lines are scanned from the left, one after the other from the top. Where the beam is at each pixel
decides what is counted there, and so distortions need no resampling of an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ..errors import NoSuchChannel, SimulationError
from ..scan import Acquisition, Quantity, Scan
from ..stm.simulation import INSTRUMENT
from . import haadf
from .experiment import Experiment, load
from .parameters import Beam, Detector, Frame, Motion, Sample
from .probe import Probe
from .scattering import Optics
from .specimen import Atoms, contamination, specimen

Array = NDArray[np.float64]

MARGIN_NM = 1.0  #: [nm] of specimen beyond all that the beam may pass
MOST_PIXELS = 2048 * 2048
STRAY, STRAY_NM = 0.1, 0.5  #: how far the beam may stray: a share of the frame, and more


@dataclass(frozen=True, slots=True)
class SeenDefect:
    """A defect in a scan: its class, its place in nm from the frame's middle, and in pixels."""

    kind: str
    x_nm: float
    y_nm: float
    row: float
    column: float


@dataclass(frozen=True, slots=True, eq=False)
class Micrograph:
    """One scan of an experiment, and its truth.

    Attributes:
        experiment: Name of the experiment.
        seed, number: Of the scan: they and the experiment decide all of it.
        pixel_nm: Pixel pitch, nm.
        counts: What the microscope wrote down; shape (rows, columns).
        truth_counts: What it would write down on average of a clean specimen with a beam that goes
            where it should; shape (rows, columns).
        atoms: Those in the frame, of the crystal alone.
        atoms_px: Where each appears in `counts`, (row, column) of pixels' centres; (atoms, 2).
        defects: What is wrong with the crystal in the frame, with its place in `counts`.
        parameters: Every parameter that was drawn, by its table.
    """

    experiment: str
    seed: int
    number: int
    pixel_nm: float
    counts: NDArray[np.float32]
    truth_counts: NDArray[np.float32]
    atoms: Atoms
    atoms_px: Array
    defects: tuple[SeenDefect, ...]
    parameters: Mapping[str, Mapping[str, Any]]

    def scan(self, direction: str = "forward", channel: str = "HAADF") -> Scan:
        """What was counted, as of a file.

        Raises:
            NoSuchChannel: Asked for another direction or channel.
        """
        if (direction, channel) != ("forward", "HAADF"):
            raise NoSuchChannel(
                f"a STEM simulation has HAADF, forward; got {channel!r}, {direction!r}"
            )
        return self._scan(self.counts, channel, direction)

    def truth(self) -> Scan:
        """The counts that are expected without distortion, contamination and noise."""
        return self._scan(self.truth_counts, None, None)

    def _scan(self, values: NDArray[np.float32], channel: str | None, way: str | None) -> Scan:
        step = f"{self.experiment}, seed {self.seed}, scan {self.number}"
        taken = Acquisition(channel, way, source=step, instrument=INSTRUMENT)
        pitch = self.pixel_nm, self.pixel_nm
        return Scan(values, pitch, Quantity.COUNTS, taken, (f"simulate {step}",))


@dataclass(frozen=True, slots=True)
class Microscope:
    """Carries out an experiment.

    Attributes:
        experiment: What is done.
    """

    experiment: Experiment

    def scan(self, seed: int, number: int) -> Micrograph:
        """One scan of the experiment, by its number.

        Raises:
            SimulationError: What was drawn cannot be carried out.
        """
        if min(seed, number) < 0:
            raise SimulationError(f"seeds and numbers are 0 or more, got {seed} and {number}")
        plan = self.experiment
        frame, beam, detector, sample, motion = (
            plan.draw(name, kind, seed, number)
            for name, kind in (
                ("frame", Frame),
                ("beam", Beam),
                ("detector", Detector),
                ("sample", Sample),
                ("motion", Motion),
            )
        )
        if frame.rows * frame.columns > MOST_PIXELS:
            raise SimulationError(
                f"a frame has {MOST_PIXELS} pixels or fewer, got {frame.rows} x {frame.columns}"
            )
        probe = _probe(beam, detector)
        middles = _middles(frame)
        astray = _astray(frame, motion, plan.stream("way", seed, number))
        way = middles[0] + astray[0], middles[1] + astray[1]
        far_x, far_y = (
            s / 2 + r + MARGIN_NM for s, r in zip(frame.size_nm, _room_nm(frame), strict=True)
        )
        low, high = (-far_x, -far_y), (far_x, far_y)
        densities = plan.densities(seed, number)
        rng = plan.stream("atoms", seed, number)
        crystal = specimen(plan.specimen, sample, densities, low, high, rng)
        clean = _image(crystal, probe, sample, low, high)
        seen = clean.at(*way)
        if sample.contamination_nm:
            carbon = contamination(sample, low, high, plan.stream("contamination", seed, number))
            seen = seen + _image(carbon, probe, sample, low, high).at(*way)
        electrons = beam.dose_per_A2 * 100 * frame.pixel_nm**2
        counts = _counted(electrons * seen, detector, plan.stream("electrons", seed, number))
        ideal = electrons * clean.at(*middles) * detector.counts_per_electron
        ideal += detector.offset_counts
        x, y = crystal.positions_nm[:, :2].T
        width, height = frame.size_nm
        shown = (abs(x) <= width / 2) & (abs(y) <= height / 2)
        inside = Atoms(crystal.positions_nm[shown], crystal.elements[shown])
        drawn = {"frame": frame, "beam": beam, "detector": detector, "sample": sample}
        return Micrograph(
            *(plan.name, seed, number, frame.pixel_nm),
            counts=counts,
            truth_counts=ideal.astype(np.float32),
            atoms=inside,
            atoms_px=_pixels(inside.positions_nm[:, :2], astray, frame),
            defects=_seen(crystal, astray, frame),
            parameters={name: asdict(table) for name, table in drawn.items()}
            | {"motion": asdict(motion), "defects_per_nm2": densities},
        )


def simulate(
    experiment: Experiment | Path | str, count: int = 1, seed: int = 0
) -> Iterator[Micrograph]:
    """Takes scans 0 to `count` - 1 of an experiment, as they are asked for.

    Raises:
        RecipeError: The file is not there, or means nothing.
        SimulationError: Something in it cannot be carried out.
    """
    plan = experiment if isinstance(experiment, Experiment) else load(experiment)
    microscope = Microscope(plan)
    return (microscope.scan(seed, number) for number in range(count))


def _probe(beam: Beam, detector: Detector) -> Probe:
    optics = Optics(beam.voltage_kV, beam.semiangle_mrad, detector.inner_mrad, detector.outer_mrad)
    return Probe(optics, beam.defocus_nm, beam.cs_um, beam.source_nm)


def _image(
    atoms: Atoms, probe: Probe, sample: Sample, low: tuple[float, float], high: tuple[float, float]
) -> haadf.Image:
    return haadf.image(atoms.positions_nm, atoms.elements, probe, sample.vibration_nm, low, high)


def _middles(frame: Frame) -> tuple[Array, Array]:
    """x and y of the pixels' middles from that of the frame, nm; shapes (rows, columns)."""
    x = (np.arange(frame.columns) - (frame.columns - 1) / 2) * frame.pixel_nm
    y = (np.arange(frame.rows) - (frame.rows - 1) / 2) * frame.pixel_nm
    grid = np.meshgrid(x, y)
    return grid[0], grid[1]


def _astray(frame: Frame, motion: Motion, rng: np.random.Generator) -> tuple[Array, Array]:
    """By how much the beam misses each pixel along x and y, nm; shapes (rows, columns).

    Raises:
        SimulationError: It leaves the frame by far.
    """
    since = np.arange(frame.columns) * frame.dwell_us
    line_us = frame.columns * frame.dwell_us + frame.flyback_us
    minutes = (np.arange(frame.rows)[:, None] * line_us + since) / 6e7
    shape = frame.rows, frame.columns
    # A disturbance that is forgotten in `jitter_us`, also during the flyback.
    keeps = math.exp(-frame.dwell_us / motion.jitter_us)
    noise = rng.standard_normal((2, *shape)).reshape(2, -1) * math.sqrt(1 - keeps**2)
    noise[:, 0] /= math.sqrt(1 - keeps**2)
    jitter = motion.jitter_nm * lfilter([1.0], [1.0, -keeps], noise).reshape(2, *shape)
    lines = motion.line_nm * rng.standard_normal((frame.rows, 1))
    late = motion.flyback_nm * np.exp(-since / motion.settle_us)
    x = motion.drift_x_nm_per_min * minutes + jitter[0] + lines - late
    y = motion.drift_y_nm_per_min * minutes + jitter[1]
    for way, room, side in zip((x, y), _room_nm(frame), frame.size_nm, strict=True):
        if abs(way).max() > room:
            raise SimulationError(
                f"the beam strays {abs(way).max():.3g} nm in a frame of {side:.3g} nm, and may by "
                f"{room:.3g} nm: less drift, jitter or dwell time"
            )
    return x, y


def _room_nm(frame: Frame) -> tuple[float, float]:
    """How far the beam may stray along x and y, whatever it does: specimens do not depend on it."""
    width, height = frame.size_nm
    return STRAY * width + STRAY_NM, STRAY * height + STRAY_NM


def _counted(electrons: Array, detector: Detector, rng: np.random.Generator) -> NDArray[np.float32]:
    """What is read where so many electrons are expected; shape (rows, columns)."""
    # The series of an image overshoots 0 by parts in 1e5 where there is nothing.
    counts = detector.counts_per_electron * rng.poisson(electrons.clip(0))
    counts = counts + detector.offset_counts
    if detector.readout_counts:
        counts += detector.readout_counts * rng.standard_normal(counts.shape)
    return counts.astype(np.float32)


def _pixels(places_nm: Array, astray: tuple[Array, Array], frame: Frame) -> Array:
    """(row, column) at which places (x, y) appear; shape (places, 2).

    The pixel is sought whose beam is there, by steps from the pixel that should be: the beam
    strays much less from one pixel to the next.
    """
    last = np.array((frame.rows - 1, frame.columns - 1))
    should = places_nm[:, ::-1] / frame.pixel_nm + last / 2
    found = should
    for _ in range(4):
        row, column = np.rint(found).clip(0, last).astype(np.int64).T
        off = np.stack([astray[1][row, column], astray[0][row, column]], axis=1)
        found = should - off / frame.pixel_nm
    return found


def _seen(atoms: Atoms, astray: tuple[Array, Array], frame: Frame) -> tuple[SeenDefect, ...]:
    """Defects in the scan."""
    if not atoms.defects:
        return ()
    places = np.array([(d.x_nm, d.y_nm) for d in atoms.defects])
    pixels = _pixels(places, astray, frame)
    shown = ((pixels > -0.5) & (pixels < (frame.rows - 0.5, frame.columns - 0.5))).all(1)
    return tuple(
        SeenDefect(d.kind, d.x_nm, d.y_nm, *pixel)
        for d, pixel, there in zip(atoms.defects, pixels.tolist(), shown, strict=True)
        if there
    )
