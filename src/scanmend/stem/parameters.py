"""What a STEM experiment is made of: a class for each table of its file, a key for each attribute.

Where a value may stand, so may a distribution: see `stm.distribution`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """What is scanned; lines run along the rows, from the top left.

    Attributes:
        rows, columns: Of the image.
        pixel_nm: Pitch of the square pixels, nm.
        dwell_us: Time at each pixel, microseconds.
        flyback_us: Time from the end of a line to the next, microseconds.
    """

    rows: int = 256
    columns: int = 256
    pixel_nm: float = 0.02
    dwell_us: float = 10.0
    flyback_us: float = 500.0

    @property
    def size_nm(self) -> tuple[float, float]:
        """Width and height, nm."""
        return self.columns * self.pixel_nm, self.rows * self.pixel_nm


@dataclass(frozen=True, slots=True)
class Beam:
    """The probe, and how many electrons it brings.

    Attributes:
        voltage_kV: That accelerates it, kV.
        semiangle_mrad: Of its convergence, mrad.
        defocus_nm: By which the focus lies beyond the specimen, nm.
        cs_um: Spherical aberration, micrometres.
        source_nm: Full width at half maximum of the source on the specimen, nm.
        dose_per_A2: Electrons on a square Angstrom.
    """

    voltage_kV: float = 80.0
    semiangle_mrad: float = 30.0
    defocus_nm: float = 0.0
    cs_um: float = 0.0
    source_nm: float = 0.06
    dose_per_A2: float = 10_000.0


@dataclass(frozen=True, slots=True)
class Detector:
    """The annular detector and its readout.

    Attributes:
        inner_mrad, outer_mrad: Angles that it covers, mrad.
        counts_per_electron: Counts that the file has for an electron.
        offset_counts: What is read without any.
        readout_counts: Standard deviation of the noise of each reading, counts.
        afterglow_us: Time in which an electron's light fades, microseconds; 0: at once.
    """

    inner_mrad: float = 60.0
    outer_mrad: float = 200.0
    counts_per_electron: float = 1.0
    offset_counts: float = 0.0
    readout_counts: float = 0.0
    afterglow_us: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """How much there is of the crystal, and how it lies.

    Attributes:
        angle_deg: By which it is turned about the beam, from x to y, degrees.
        tilt_x_deg, tilt_y_deg: By which the beam is off its axis, towards x and y, degrees.
        thickness_nm: Of a foil, nm; a layer is one layer.
        vibration_nm: Rms of its atoms along one axis, nm.
        shape: "sheet", all over; "edge", one half of the frame; "wire"; or "hole", all but a disc.
        width_nm: Of the wire or hole, nm.
        direction_deg: Of the wire, the edge or the grain boundary, from x to y, degrees.
        rough_nm: Rms by which an outline wanders, nm.
        boundary_deg: How much the crystal beyond a grain boundary is turned, degrees; 0: no such.
        contamination_nm: Amorphous carbon, its mean thickness, nm.
        patch_nm: How far its thickness is alike, nm.
    """

    angle_deg: float = 0.0
    tilt_x_deg: float = 0.0
    tilt_y_deg: float = 0.0
    thickness_nm: float = 5.0
    vibration_nm: float = 0.007
    shape: str = "sheet"
    width_nm: float = 3.0
    direction_deg: float = 0.0
    rough_nm: float = 0.1
    boundary_deg: float = 0.0
    contamination_nm: float = 0.0
    patch_nm: float = 2.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What leads the beam astray.

    Attributes:
        drift_x_nm_per_min, drift_y_nm_per_min: Of the specimen, nm/min.
        jitter_nm: Rms of a disturbance on each axis, nm ...
        jitter_us: ... and the time for which it is alike, microseconds.
        line_nm: Rms by which whole lines are off along x, nm.
        flyback_nm: By how much a line begins late, nm ...
        settle_us: ... and the time in which that decays, microseconds.
    """

    drift_x_nm_per_min: float = 0.0
    drift_y_nm_per_min: float = 0.0
    jitter_nm: float = 0.0
    jitter_us: float = 500.0
    line_nm: float = 0.0
    flyback_nm: float = 0.0
    settle_us: float = 100.0


POSITIVE = {
    *("rows", "columns", "pixel_nm", "dwell_us", "voltage_kV", "semiangle_mrad", "dose_per_A2"),
    *("inner_mrad", "outer_mrad", "counts_per_electron", "width_nm", "patch_nm", "thickness_nm"),
    *("jitter_us", "settle_us"),
}
"""Parameters that mean nothing at 0 or below."""

NOT_NEGATIVE = {
    *("flyback_us", "source_nm", "readout_counts", "vibration_nm", "rough_nm", "jitter_nm"),
    *("contamination_nm", "line_nm", "afterglow_us"),
}
"""Those that mean nothing below 0."""

WORDS = {"shape": ("sheet", "edge", "wire", "hole")}
"""Those that are one of a few words."""
