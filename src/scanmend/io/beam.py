"""How an image was taken by an electron microscope: the words of its file, in our units.

Nothing is guessed: what a file does not say, or says as 0 for want of a measurement, is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..scan import Acquisition
from .units import volts

_NUMBERS: dict[str, dict[str, float]] = {
    "voltage_kV": {
        "Microscope Info.Voltage": 1e-3,  # DigitalMicrograph
        "ExperimentalDescription.High tension_kV": 1,  # TIA
        "Optics.AccelerationVoltage": 1e-3,  # Velox
        "Beam.HV": 1e-3,  # FEI's TIFF
        "Acquisition_instrument.TEM.beam_energy": 1,  # HyperSpy
    },
    "dwell_us": {
        "DigiScan.Sample Time": 1,
        "AcquireInfo.DwellTimePath": 1e6,
        "Scan.DwellTime": 1e6,
        "Scan.Dwelltime": 1e6,
        "Acquisition_instrument.TEM.dwell_time": 1e6,
    },
    "beam_current_pA": {
        "Microscope Info.Probe Current (nA)": 1e3,
        "Optics.LastMeasuredScreenCurrent": 1e12,
        "EBeam.BeamCurrent": 1e12,
        "Acquisition_instrument.TEM.beam_current": 1e3,
    },
    "magnification": {
        "Microscope Info.Indicated Magnification": 1,
        "ExperimentalDescription.Magnification_x": 1,
        "CustomProperties.StemMagnification.value": 1,
        "Acquisition_instrument.TEM.magnification": 1,
    },
}
"""What holds each number, and how many of our units one of it is."""

_WORDS: dict[str, tuple[str, ...]] = {
    "detector": (
        "BinaryResult.Detector",
        "DataBar.Signal Name",
        "Temp-Tags.Detector",
        "AcquireInfo.CameraNamePath",
        "Detectors.Name",
    ),
    "instrument": (
        "Microscope Info.Name",
        "ExperimentalDescription.Microscope",
        "Instrument.InstrumentClass",
        "System.SystemType",
        "Acquisition_instrument.TEM.microscope",
    ),
}
_MODE = "ExperimentalDescription.Mode"
_SUMMED = "DigiScan.Sum Frames"


def taken(*headers: Mapping[str, Any] | None) -> Acquisition:
    """What `headers`, mappings of mappings, say; the first that says it counts."""
    said: dict[str, Any] = {}
    for header in headers:
        for path, value in _leaves(header or {}):
            # Known by the last two or three names: above them are those of a file's own list.
            parts = path.split(".")
            for n in (2, 3):
                said.setdefault(".".join(parts[-n:]), value)
    if "STEM" not in str(said.get(_MODE)):
        said.pop("AcquireInfo.DwellTimePath", None)  # the exposure of a camera
    if _number(said.get(_SUMMED)):
        said.pop("DigiScan.Sample Time", None)  # of one pass of several
    numbers = {
        name: next(
            (n * _number(said[tag]) for tag, n in tags.items() if _number(said.get(tag))), None
        )
        for name, tags in _NUMBERS.items()
    }
    if numbers["voltage_kV"] is None and (kept := volts(str(said.get("microscope.voltage", "")))):
        numbers["voltage_kV"] = kept / 1e3  # Berkeley's EMD, where the unit is said
    words: dict[str, Any] = {
        name: next((str(said[tag]).strip() for tag in tags if _is_word(said.get(tag))), None)
        for name, tags in _WORDS.items()
    }
    general = [str(said.get(f"General.{part}", "")) for part in ("date", "time")]
    return Acquisition(started="T".join(general) if all(general) else None, **numbers, **words)


def _leaves(header: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(header, Mapping):
        for name, value in header.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, header


def _number(value: Any) -> float:
    """A positive number; 0 for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() not in ("", "unknown", "none")
