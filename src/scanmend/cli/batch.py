"""Many files, one after the other: what fails is one line, and the others are still done."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import scanmend

from ..errors import ReadError, ScanmendError, UnknownFormat
from ..watch.folder import OURS

Result = dict[str, Any]
Progress = Callable[[float], None]

_PARAMETERS = ".mtrx"
"""Suffix of what MATRIX writes beside its scans, and is read with them."""


def each(
    sources: Sequence[Path | str],
    task: Callable[[Path, int | None, Progress], Result],
    text: Callable[[Result], str],
    as_json: bool,
    frames: Callable[[Path], Sequence[int | None]] = lambda path: (None,),
) -> None:
    """Does `task` for every source, then exits with 1 if one failed.

    Args:
        sources: From `expand`.
        task: Does one file, or one frame of it, and returns what is to be said about it.
        text: That, in words; printed as soon as the file is done.
        as_json: Whether to print one JSON document instead, when all are done.
        frames: Which frames of a file to do; None stands for a file's only image.
    """
    results: list[Result] = []
    failed = False
    for number, source in enumerate(sources, 1):
        label = click.format_filename(source)
        label += f" ({number} of {len(sources)})" if len(sources) > 1 else ""
        unread = False
        for frame in _parts(source, frames):
            try:
                with bar(label if frame is None else f"{label}, frame {frame}") as progress:
                    result = task(_one(source), frame, progress)
            except Exception as error:
                if "SCANMEND_DEBUG" in os.environ:
                    raise
                failed = True
                result = {"input": str(source), "error": why(error)}
                unread = frame is None or isinstance(error, ReadError)
                reason = why(error) if unread else f"frame {frame}: {why(error)}"
                click.echo(f"scanmend: {_naming(source, reason)}", err=True)
            else:
                if not as_json:
                    click.echo(text(result))
            results.append(result)
            if unread:  # and the other frames are not either
                break
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if failed:
        raise click.exceptions.Exit(1)


def expand(arguments: Sequence[str]) -> list[Path | str]:
    """The files that arguments stand for; a folder or pattern without any stands for itself."""
    sources: list[Path | str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            sources += _scans_in(path) or [path]
        elif not path.exists() and glob.has_magic(argument):
            found = glob.glob(argument, recursive=True)  # noqa: PTH207 (Path.glob takes none from /)
            sources += sorted(map(Path, found)) or [argument]
        else:
            sources.append(path)
    return sources


def _parts(
    source: Path | str, frames: Callable[[Path], Sequence[int | None]]
) -> Sequence[int | None]:
    try:
        return frames(_one(source))
    except ScanmendError:
        return (None,)  # The task will fail, too, and say why.


def _one(source: Path | str) -> Path:
    if isinstance(source, str):
        raise ReadError("no file matches this pattern")
    if source.is_dir():
        raise ReadError("no scan is in this folder")
    return source


def _scans_in(folder: Path) -> list[Path]:
    """The scans in a folder; what no reader recognises is no scan, and is named on stderr."""
    scans = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(".") or OURS.search(path.stem):
            continue
        if path.suffix == _PARAMETERS:
            continue
        try:
            scanmend.open(path)
        except UnknownFormat:
            click.echo(f"{click.format_filename(path)}: no scan, left out", err=True)
            continue
        except ScanmendError:
            pass  # It will fail in its turn, and say why.
        scans.append(path)
    return scans


@contextmanager
def bar(label: str) -> Iterator[Progress]:
    """A bar on stderr while a file is done; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    # stdout is left alone: rich would send what is printed there to stderr.
    with Bar(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(escape(label), total=1.0)
        yield lambda done: bar.update(task, completed=done)


def _naming(source: Path | str, reason: str) -> str:
    """`reason`, beginning with the path of its file, which the reader of it may have named."""
    path, bare = click.format_filename(source), Path(source).name
    if reason.startswith((f"{bare} ", f"{bare}: ")):
        return path + reason.removeprefix(bare)
    return reason if path in reason else f"{path}: {reason}"


def why(error: Exception) -> str:
    """One line for a failure."""
    match error:
        case ScanmendError():
            return " ".join(str(error).split())
        case MemoryError():
            return "it does not fit into memory"
        case OSError():
            return error.strerror or str(error)
    kind, text = type(error).__name__, " ".join(str(error).split())
    return f"{kind}: {text} (this is a bug; SCANMEND_DEBUG=1 shows where)"
