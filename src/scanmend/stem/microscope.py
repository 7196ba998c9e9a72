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
from .experiment import DEFECTS, Experiment, load
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
        frame, beam = self.parameters["frame"], self.parameters["beam"]
        taken = Acquisition(
            channel,
            way,
            source=step,
            instrument=INSTRUMENT,
            voltage_kV=beam["voltage_kV"],
            dwell_us=frame["dwell_us"],
            dose_per_A2=beam["dose_per_A2"],
            detector="HAADF",
        )
        pitch = self.pixel_nm, self.pixel_nm
        return Scan(values, pitch, Quantity.COUNTS, taken, (f"simulate {step}",))


@dataclass(frozen=True, slots=True)
class Conditions:
    """The tables of an experiment, as drawn for a scan."""

    frame: Frame
    beam: Beam
    detector: Detector
    sample: Sample
    motion: Motion

    @classmethod
    def drawn(cls, experiment: Experiment, seed: int, number: int) -> Conditions:
        """Those of a scan."""
        return cls(
            frame=experiment.draw("frame", Frame, seed, number),
            beam=experiment.draw("beam", Beam, seed, number),
            detector=experiment.draw("detector", Detector, seed, number),
            sample=experiment.draw("sample", Sample, seed, number),
            motion=experiment.draw("motion", Motion, seed, number),
        )


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
        drawn = Conditions.drawn(plan, seed, number)
        frame, beam, detector, sample = drawn.frame, drawn.beam, drawn.detector, drawn.sample
        if frame.rows * frame.columns > MOST_PIXELS:
            raise SimulationError(
                f"a frame has {MOST_PIXELS} pixels or fewer, got {frame.rows} x {frame.columns}"
            )
        optics = Optics(
            beam.voltage_kV, beam.semiangle_mrad, detector.inner_mrad, detector.outer_mrad
        )
        probe = Probe(optics, beam.defocus_nm, beam.cs_um, beam.source_nm)
        middles = points(frame)
        astray = strays(frame, drawn.motion, plan.stream("way", seed, number))
        way = middles[0] + astray[0], middles[1] + astray[1]
        box = _box(frame)

        def seen(atoms: Atoms) -> haadf.Image:
            return haadf.image(atoms.positions_nm, atoms.elements, probe, sample.vibration_nm, *box)

        densities = plan.densities(seed, number)
        rng = plan.stream("atoms", seed, number)
        crystal = specimen(plan.specimen, sample, densities, *box, rng)
        clean = seen(crystal)
        measured = clean.at(*way)
        if sample.contamination_nm:
            carbon = contamination(sample, *box, plan.stream("contamination", seed, number))
            measured = measured + seen(carbon).at(*way)
        electrons = beam.dose_per_A2 * 100 * frame.pixel_nm**2
        keeps = math.exp(-frame.dwell_us / detector.afterglow_us) if detector.afterglow_us else 0.0
        rng = plan.stream("electrons", seed, number)
        ideal = electrons * clean.at(*middles) * detector.counts_per_electron
        inside = _inside(crystal, frame)
        return Micrograph(
            *(plan.name, seed, number, frame.pixel_nm),
            counts=counted(electrons * measured, detector, keeps, rng),
            truth_counts=(ideal + detector.offset_counts).astype(np.float32),
            atoms=inside,
            atoms_px=_pixels(inside.positions_nm[:, :2], astray, frame),
            defects=_seen(crystal, astray, frame),
            parameters=asdict(drawn) | {DEFECTS: densities},
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


def points(frame: Frame) -> tuple[Array, Array]:
    """x and y of the pixels' middles from that of the frame, nm; shapes (rows, columns)."""
    middle = (frame.rows - 1) / 2, (frame.columns - 1) / 2
    y, x = np.indices((frame.rows, frame.columns), np.float64)
    return (x - middle[1]) * frame.pixel_nm, (y - middle[0]) * frame.pixel_nm


def strays(frame: Frame, motion: Motion, rng: np.random.Generator) -> tuple[Array, Array]:
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
    jitter = motion.jitter_nm * np.asarray(lfilter([1.0], [1.0, -keeps], noise))
    jitter = jitter.reshape(2, *shape)
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


def _box(frame: Frame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Corners (x, y) of what is filled with atoms, nm."""
    width, height = frame.size_nm
    room_x, room_y = _room_nm(frame)
    x, y = width / 2 + room_x + MARGIN_NM, height / 2 + room_y + MARGIN_NM
    return (-x, -y), (x, y)


def _room_nm(frame: Frame) -> tuple[float, float]:
    """How far the beam may stray along x and y, whatever it does: specimens do not depend on it."""
    width, height = frame.size_nm
    return STRAY * width + STRAY_NM, STRAY * height + STRAY_NM


def counted(
    electrons: Array, detector: Detector, keeps: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What is read where so many electrons are expected; shape (rows, columns).

    `keeps` is the share of the detector's light that is left after a pixel.
    """
    # The series of an image undershoots 0 by parts in 1e5 where there is nothing.
    light = rng.poisson(electrons.clip(0)).astype(np.float64)
    if keeps:
        light[:] = np.asarray(lfilter([1 - keeps], [1, -keeps], light.ravel())).reshape(light.shape)
    counts = detector.counts_per_electron * light + detector.offset_counts
    if detector.readout_counts:
        counts += detector.readout_counts * rng.standard_normal(counts.shape)
    return counts.astype(np.float32)


def _inside(atoms: Atoms, frame: Frame) -> Atoms:
    """Those in the frame."""
    x, y, _ = atoms.positions_nm.T
    width, height = frame.size_nm
    shown = (abs(x) <= width / 2) & (abs(y) <= height / 2)
    return Atoms(atoms.positions_nm[shown], atoms.elements[shown])


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
    inside = (pixels > -0.5) & (pixels < (frame.rows - 0.5, frame.columns - 0.5))
    return tuple(
        SeenDefect(d.kind, d.x_nm, d.y_nm, *pixel)
        for d, pixel, there in zip(
            atoms.defects, pixels.tolist(), np.all(inside, axis=1).tolist(), strict=True
        )
        if there
    )
