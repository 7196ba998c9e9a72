"""The command that opens the application beside the microscope."""

from __future__ import annotations

import dataclasses
import secrets
import socket
import threading
import webbrowser
from pathlib import Path

import click

from ..errors import WorkError
from .batch import why

_MISSING = 'the application needs a few more packages: pip install "scanmend[web]"'

_EVERYWHERE = ("0.0.0.0", "::")


@click.command()
@click.argument(
    "folders", nargs=-1, type=click.Path(path_type=Path), required=False, metavar="[FOLDER]..."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A name of this machine by which it is asked, if it is not the one it knows.",
)
@click.option(
    "--token",
    envvar="SCANMEND_TOKEN",
    help="What browsers and programs must know; beyond this machine one is made if none is given.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A model file to choose from, besides those that come with scanmend.",
)
@click.option(
    "--watch",
    "watched",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder that the microscope writes into; results go to DIR/restored.",
)
@click.option(
    "--study",
    "studies",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="A blind study that is opened to its raters; or a folder of them, for new ones too.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def serve(
    folders: tuple[Path, ...],
    host: str,
    port: int,
    names: tuple[str, ...],
    token: str | None,
    models: tuple[Path, ...],
    watched: tuple[Path, ...],
    studies: tuple[Path, ...],
    no_browser: bool,
) -> None:
    """Opens the application: restores scans in a browser, and for programs over HTTP.

    Scans can be dropped onto its page, or chosen in the FOLDERs; nothing else on this machine is
    listed or read. Only this machine can ask, unless --host says otherwise.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError:
        raise WorkError(_MISSING) from None
    from ..web import app, settings

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise WorkError(f"{host}, port {port}: {why(error)}; choose another --port") from None
    with listening:
        port = listening.getsockname()[1]
        given = (folders, host, port, token, names, models, watched, studies)
        chosen = settings.Settings(*given)
        if not (chosen.is_local or token):
            chosen = dataclasses.replace(chosen, token=secrets.token_urlsafe(24))
        application = app.create(chosen)
        at = socket.gethostname() if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
        address = f"http://{at}:{port}/" + (f"?token={chosen.token}" if chosen.token else "")
        click.echo(address)
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        how = uvicorn.Config(
            application,
            log_level="warning",
            ws="none",
            server_header=False,
            limit_concurrency=256,
            timeout_graceful_shutdown=2,  # whoever listens to events would never leave
        )
        uvicorn.Server(how).run(sockets=[listening])
