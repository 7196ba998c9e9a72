"""What a server may read, whom it answers, and how much it takes on."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from .. import models

SUFFIXES = (
    *(".sxm", ".dat", ".sm4", ".nid", ".stp", ".top", ".gwy", ".gsf", ".nc", ".ibw", ".npy"),
    *(".tif", ".tiff", ".png", ".dm3", ".dm4", ".ser", ".emi", ".emd", ".hdf5", ".hspy", ".h5"),
    *("_mtrx", ".spm", ".mi", ".par", ".tf0", ".xqd", ".bcr", ".nan", ".zad"),
)
"""Ends of names under which files are listed and stored; what they hold, the readers decide."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line gives, and limits.

    Attributes:
        folders: The only ones that are listed and read.
        host: Address to listen at.
        port: Port to listen at.
        token: What a client must know; needed beyond the loopback interface.
        names: Host names of this machine by which it may be asked, besides its addresses.
        watched: Folders in which every scan is restored as it appears.
        studies: Blind studies that are open to raters: files, or folders of them, in which new ones
            may be made.
        models: Model files besides the shipped models.
        upload_bytes: Of a file, sent or in a folder.
        pixels: Of an image, before and after upscaling.
        parse_s: Processor time that reading a file may take; twice as much by the clock.
        parse_bytes: Address space of the process that reads.
        disk_bytes: Files that were sent and are kept.
        memory_bytes: Scans and results that are kept.
        waiting: Jobs that may wait.
        simulated_pixels: Of a simulated scan; of all those of its session, where it is saved.
        simulate_s: By the clock, that one may take.
        simulate_bytes: Address space of the process that simulates.
    """

    folders: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: tuple[str, ...] = ()
    models: tuple[Path, ...] = ()
    watched: tuple[Path, ...] = ()
    studies: tuple[Path, ...] = ()
    upload_bytes: int = 256 << 20
    pixels: int = 1 << 24
    parse_s: float = 30.0
    parse_bytes: int = 2 << 30
    disk_bytes: int = 4 << 30
    memory_bytes: int = 512 << 20
    waiting: int = 50
    simulated_pixels: int = 1 << 18
    simulate_s: float = 30.0
    simulate_bytes: int = 6 << 30

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can ask."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def known_models(self) -> dict[str, Path | str]:
        """What `models.restorer` takes, by the names that clients use, the default first."""
        shipped = sorted(models.restorers(), key=lambda name: name != models.DEFAULT)
        own = {path.stem: path for path in self.models if not models.load(path).finds_defects}
        return {name: name for name in shipped} | own


def is_scan(name: str) -> bool:
    """Whether a file of this name may hold a scan."""
    return name.lower().endswith(SUFFIXES)
