"""What is drawn for a session and for each of its scans, and what of a microscope that makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .current import Electrode, Junction
from .experiment import Experiment
from .feedback import Loop
from .noise import CurrentNoise
from .parameters import Apex, Electronics, Frame, Gains, Motion, Noise, Surface, Tunnelling
from .piezo import BoucWen, Creep, Drift, Scanner
from .raster import Raster
from .tip import Tip


@dataclass(frozen=True, slots=True)
class Session:
    """What is drawn once for all scans of a session."""

    frame: Frame
    tunnelling: Tunnelling
    tip: Apex
    electronics: Electronics

    @classmethod
    def drawn(cls, experiment: Experiment, seed: int, session: int) -> Session:
        """The session of this number."""
        return cls(
            experiment.draw("frame", Frame, seed, session),
            experiment.draw("tunnelling", Tunnelling, seed, session),
            experiment.draw("tip", Apex, seed, session),
            experiment.draw("electronics", Electronics, seed, session),
        )

    @property
    def pixel_nm(self) -> float:
        """Pixel pitch, nm."""
        return self.frame.width_nm / self.frame.columns

    @property
    def window_eV(self) -> tuple[float, float]:
        """Between which energies electrons tunnel, from the sample's Fermi level, eV."""
        return min(0.0, self.tunnelling.bias_V), max(0.0, self.tunnelling.bias_V)

    @property
    def raster(self) -> Raster:
        """What the electronics command, in the coordinates of the scanner."""
        f = self.frame
        return Raster(
            *((f.rows, f.columns), f.size_nm, f.line_s, f.fast_axis, f.begins, f.angle_deg)
        )

    def junction(self, sample: Electrode) -> Junction:
        """The tip above a sample, in the coordinates of the frame."""
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
    """What is drawn for a scan."""

    surface: Surface
    defects_per_nm2: dict[str, float]
    gains: Gains
    noise: Noise
    motion: Motion

    @classmethod
    def drawn(cls, experiment: Experiment, seed: int, number: int) -> Conditions:
        """Those of the scan of this number."""
        return cls(
            experiment.draw("surface", Surface, seed, number),
            experiment.densities(seed, number),
            experiment.draw("gains", Gains, seed, number),
            experiment.draw("noise", Noise, seed, number),
            experiment.draw("motion", Motion, seed, number),
        )

    def scanner(self, rng: np.random.Generator) -> Scanner:
        """What leads the tip astray; lateral creep and drift in directions of chance."""
        motion, (one, other) = self.motion, rng.uniform(0, 2 * math.pi, 2)
        creep, drift = motion.creep_nm, motion.drift_nm_per_min / 60
        return Scanner(
            _piezo(motion.lag, motion.lag_length_nm, motion.lag_skew),
            Creep((creep * math.cos(one), creep * math.sin(one), motion.creep_z_nm)),
            Drift(
                (
                    drift * math.cos(other),
                    drift * math.sin(other),
                    motion.drift_z_nm_per_min / 60,
                ),
                (motion.walk_nm, motion.walk_nm, motion.walk_z_nm),
            ),
            (motion.jitter_nm, motion.jitter_nm, motion.jitter_z_nm),
            (motion.tilt_x_deg, motion.tilt_y_deg),
        )

    def loop(self, session: Session) -> Loop:
        """The feedback loop."""
        electronics, motion = session.electronics, self.motion
        return Loop(
            session.tunnelling.setpoint_nA,
            **values(self.gains),
            window_cycles=electronics.window_cycles,
            cycles_per_point=electronics.cycles_per_point,
            logarithmic=electronics.amplifier == "log",
            noise=CurrentNoise(**values(self.noise)),
            piezo=_piezo(motion.lag_z, motion.lag_length_z_nm, motion.lag_skew),
        )


def parameters(session: Session, conditions: Conditions) -> dict[str, dict[str, Any]]:
    """Every parameter that was drawn, by its table."""
    tables = values(session) | values(conditions)
    return {name: t if isinstance(t, dict) else values(t) for name, t in tables.items()}


def values(table: Any) -> dict[str, Any]:
    """The attributes of a dataclass; `dataclasses.asdict` copies deeply, and slowly."""
    return {field.name: getattr(table, field.name) for field in fields(table)}


def _piezo(lag: float, length_nm: float, skew: float) -> BoucWen:
    return BoucWen(beta=-lag, B_per_nm=1 / length_nm, C_per_nm=skew / length_nm)
