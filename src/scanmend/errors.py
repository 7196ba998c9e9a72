"""Everything this package raises on purpose.

ScanmendError
├── ReadError
│   ├── UnknownFormat        no reader recognises the file
│   ├── UnsupportedFeature   right format, but a variant or a unit that is not read here
│   ├── NoSuchChannel        a channel or direction was asked for that the file lacks
│   ├── ScaleMissing         the file has no lateral or height scale, and none was given
│   └── CorruptFile          right format, contradictory contents
├── WriteError               the output cannot be written there, or would replace something
├── ScanError                the values cannot be a scan: shape, pitch, NaN, constant
├── RecipeError              a recipe or settings file that means nothing
├── SimulationError          an experiment that cannot be simulated: atoms, bias, setpoint, box
├── WorkError                work that was handed out failed, or nobody is there to do it
├── StudyError               a blind study that means nothing, or an answer that does not fit it
├── TrainingError            a training that cannot begin, go on, or came to no number
└── ModelError               a model is missing, damaged, or does not fit the scan

The text of each says what was got, what was expected, and what to do.
"""

from __future__ import annotations


class ScanmendError(Exception):
    """The root: catching it catches everything that this package raises on purpose."""


class ReadError(ScanmendError):
    """A file could not be read as a scan."""


class UnknownFormat(ReadError):
    """No reader recognises the file."""


class UnsupportedFeature(ReadError):
    """The format is known, but not this variant of it, or the unit is none of ours."""


class NoSuchChannel(ReadError):
    """The file has no such channel, or not in that direction."""


class ScaleMissing(ReadError):
    """The file does not say how large the scan is, and nobody else did."""


class CorruptFile(ReadError):
    """The file contradicts itself or ends too early."""


class WriteError(ScanmendError):
    """The output cannot be written, or would replace something."""


class ScanError(ScanmendError):
    """The values cannot be a scan, or cannot be treated as one."""


class RecipeError(ScanmendError):
    """A recipe or settings file holds something that means nothing here."""


class SimulationError(ScanmendError):
    """A simulated experiment that means nothing, or cannot be carried out."""


class WorkError(ScanmendError):
    """A piece of work that was handed out failed, or there is nobody to do it."""


class StudyError(ScanmendError):
    """A blind study that cannot be made or opened, or an answer that does not fit it."""


class TrainingError(ScanmendError):
    """A training that cannot begin or go on, or whose losses are no numbers any more."""


class ModelError(ScanmendError):
    """A model is missing, damaged, or does not fit the scan."""
