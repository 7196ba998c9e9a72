"""Foreign units: the only place where a unit's spelling means something."""

from __future__ import annotations

import re

from ..scan import Quantity

_PREFIX = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3}
_ANGSTROM = {"angstrom", "angstroms", "ang", "\N{ANGSTROM SIGN}", "Å"}
_WORDS = {
    **dict.fromkeys(("nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), "um"),
    **dict.fromkeys(("micron", "microns"), "um"),
    **dict.fromkeys(("picometer", "picometers", "picometre", "picometres"), "pm"),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
}
_COUNTS = {"counts", "count", "cts", "electrons"}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)?\s*(.*)", re.DOTALL)


def quantity(unit: str | None) -> tuple[Quantity, float] | None:
    """What is measured in `unit`, and how many of our units (nm, nA, counts) one of it is.

    A number may lead: "2.5e-6nm" is the height of one digit of a converter. "A" is the ampere;
    say "angstrom" for the other one. Returns None where the unit is none of ours.
    """
    number, spelling = _split(unit or "")
    if not number:
        return None
    plain = re.sub(r"[\s_\[\]]", "", spelling)  # EMD files have "[n_m]"
    plain = _WORDS.get(plain.lower(), plain)
    if plain in _ANGSTROM or plain.lower() in _ANGSTROM:
        return Quantity.HEIGHT, number * 0.1
    if plain.lower() in _COUNTS:
        return Quantity.COUNTS, number
    prefix, base = plain[:-1], plain[-1:]
    if base not in ("m", "A") or prefix not in _PREFIX:
        return None
    kind = Quantity.HEIGHT if base == "m" else Quantity.CURRENT
    # Divided rather than multiplied by a negative power, so that 1 nm is exactly 1.
    power = _PREFIX[prefix] + 9
    return kind, number * 10.0**power if power >= 0 else number / 10.0**-power


def length_nm(number: float, unit: str | None) -> float | None:
    """A length in nm; None where `unit` is no length. Here "A" is the ångström."""
    found = quantity("angstrom" if unit == "A" else unit)
    if found is None or found[0] is not Quantity.HEIGHT:
        return None
    return number * found[1]


def measure(text: str) -> tuple[float, str] | None:
    """A number and its unit as one string, "600 mV" or "1nA"; None where no number leads."""
    found = _NUMBER.fullmatch(text.strip())
    if not found or found[1] is None:
        return None
    return float(found[1]), found[2].strip()


def volts(text: str) -> float | None:
    """A voltage such as "600mV", in V."""
    found = measure(text)
    if not found or not found[1].endswith("V") or found[1][:-1] not in _PREFIX:
        return None
    return found[0] * 10.0 ** _PREFIX[found[1][:-1]]


def nanoamperes(text: str) -> float | None:
    """A current such as "5.0E-10 A", in nA."""
    found = quantity(text)
    return found[1] if found and found[0] is Quantity.CURRENT else None


def _split(text: str) -> tuple[float, str]:
    found = measure(text)
    return found if found else (1.0, text.strip())
