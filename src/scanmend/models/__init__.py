"""The models that are shipped, and model files anywhere: graph, weights and card in one `.onnx`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import generate
from ..engine import Network
from ..errors import ModelError, RecipeError
from ..scan import Quantity

DEFAULT, OF_COUNTS = "surface", "stem"
OF_DEFECTS = "defects-"
"""How the names of those begin that find defects; a family of materials follows."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Model:
    """A model file.

    Attributes:
        path: The file.
        sha256: Hash of its bytes.
        network: The network in it.
    """

    path: Path
    sha256: str
    network: Network

    @property
    def card(self) -> dict[str, Any]:
        """What it was trained on and for, and how well it does."""
        return self.network.card

    @property
    def name(self) -> str:
        """The name on its card."""
        return self.card["name"]

    @property
    def factors(self) -> tuple[int, ...]:
        """How many lines it makes of one; 1 is restoration."""
        return tuple(self.card.get("factors") or [self.card["factor"]])

    @property
    def finds_defects(self) -> bool:
        """Whether what it makes of a scan is maps of defects, and no scan."""
        return "defects" in self.card.get("tasks", ())

    @property
    def method(self) -> generate.Method:
        """How its network is run, if its card says so (`network.has_method`).

        Raises:
            ModelError: That method is none of ours.
        """
        try:
            return generate.method(self.card["method"])
        except RecipeError as error:
            raise ModelError(f"{self.name} cannot be run here: {error}") from None


def names() -> tuple[str, ...]:
    """The models that come with scanmend."""
    stems = (path.stem for path in _FOLDER.glob("*.onnx"))
    return tuple(sorted(stem for stem in stems if "." not in stem))  # one of 8 bits stands beside


def restorers() -> tuple[str, ...]:
    """Those of `names` that restore or upscale."""
    return tuple(name for name in names() if not name.startswith(OF_DEFECTS))


def default(quantity: Quantity) -> str:
    """The model that is asked for scans of a quantity, unless another is named."""
    return OF_COUNTS if quantity is Quantity.COUNTS else DEFAULT


def load(source: str | Path | None = None) -> Model:
    """A shipped model by name (the default if None), or any model file by its path.

    Raises:
        ModelError: There is no such model, or the file is no ONNX model with a card.
    """
    shipped = _FOLDER / f"{source or DEFAULT}.onnx"
    path = shipped if shipped.is_file() else Path(source or DEFAULT)
    if not path.is_file():
        raise ModelError(
            f"no model {str(path)!r}: pass one of {', '.join(names())}, or an .onnx file"
        )
    return _opened(path, path.stat().st_mtime_ns)


def restorer(source: str | Path | None = None) -> Model:
    """`load`, of a model that restores or upscales.

    Raises:
        ModelError: As of `load`; or it finds defects.
    """
    model = load(source)
    if model.finds_defects:
        raise ModelError(
            f"{model.name} finds defects and restores nothing: use `scanmend defects`, or one of "
            f"{', '.join(restorers())}"
        )
    return model


@lru_cache(maxsize=8)
def _opened(path: Path, modified_ns: int) -> Model:
    """The model, kept open for the next scan; a file that has changed since is opened anew."""
    return Model(path, hashlib.sha256(path.read_bytes()).hexdigest(), Network(path))


def verify(model: Model) -> bool:
    """Whether `model` is, to the last bit, one of those that were shipped."""
    sums = (_FOLDER / "SHA256SUMS").read_text().split()
    return model.sha256 in sums[::2]
