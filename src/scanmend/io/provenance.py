"""What a file of ours remembers about a scan beside its pixels, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..errors import CorruptFile
from ..scan import Acquisition, Quantity, Restoration, Scan


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything of a Scan but its pixels."""

    quantity: Quantity
    pixel_nm: tuple[float, float]
    acquisition: Acquisition
    history: tuple[str, ...]

    def fits(self, shape: tuple[int, int], size_nm: tuple[float, float] | None) -> bool:
        """Whether the image is still as we left it, and not resampled by another program since."""
        remembered = tuple(n * pitch for n, pitch in zip(shape, self.pixel_nm, strict=True))
        return size_nm is not None and all(map(math.isclose, size_nm, remembered))


def plain(value: Any) -> Any:
    """JSON, which knows neither NaN nor infinity: what is no number is null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def remember(scan: Scan) -> str:
    """Everything but the pixels."""
    return json.dumps(
        {
            "scanmend": _version(),
            "quantity": scan.quantity.name,
            "pixel_nm": list(scan.pixel_nm),
            "acquisition": {k: v for k, v in asdict(scan.acquisition).items() if v is not None},
            "history": list(scan.history),
        }
    )


def recall(text: str) -> Memory:
    """Back from `remember`.

    Raises:
        CorruptFile: It is not what `remember` writes.
    """
    try:
        known = json.loads(text)
        rows, columns = (float(pitch) for pitch in known["pixel_nm"])
        return Memory(
            Quantity[known["quantity"]],
            (rows, columns),
            Acquisition(**known["acquisition"]),
            tuple(str(step) for step in known["history"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"what the file says of its own origin makes no sense: {error}"
        ) from error


def provenance(thing: Scan | Restoration) -> str:
    """How a restoration was made, as JSON; of a plain scan, nothing but our version."""
    made: dict[str, Any] = thing.provenance if isinstance(thing, Restoration) else {}
    return json.dumps({"scanmend": _version()} | made)


def named(thing: Scan | Restoration) -> dict[str, Scan]:
    """The images in `thing` by the names that they have in a file, the best one first."""
    if isinstance(thing, Scan):
        return {"scan": thing}
    return {"restored": thing.mean, "measured": thing.measured, "spread": thing.spread}


def _version() -> str:
    try:
        return version("scanmend")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
