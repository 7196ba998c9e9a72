"""The command that opens the application beside the microscope."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import webbrowser
from pathlib import Path

import click

from ..errors import WorkError

_MISSING = 'the application needs a few more packages: pip install "scanmend[web]"'


@click.command()
@click.argument(
    "folders", nargs=-1, type=click.Path(path_type=Path), required=False, metavar="[FOLDER]..."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True)
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
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def serve(
    folders: tuple[Path, ...],
    host: str,
    port: int,
    names: tuple[str, ...],
    token: str | None,
    models: tuple[Path, ...],
    no_browser: bool,
) -> None:
    """Opens the application: restores scans in a browser, and for programs over HTTP.

    Scans can be dropped onto its page, or chosen in the FOLDERs; nothing else on this machine is
    listed or read. Only this machine can ask, unless --host says otherwise.
    """
    try:
        import python_multipart  # noqa: F401
        import uvicorn

        from ..web import app, settings
    except ImportError:
        raise WorkError(_MISSING) from None
    chosen = settings.Settings(
        folders=folders, host=host, port=port, token=token, names=names, models=models
    )
    if not (chosen.is_local or token):
        token = secrets.token_urlsafe(24)
        chosen = dataclasses.replace(chosen, token=token)
    application = app.create(chosen)
    at = f"[{host}]" if ":" in host else host
    address = f"http://{at}:{port}/" + (f"?token={token}" if token else "")
    click.echo(address)
    server = uvicorn.Server(
        uvicorn.Config(application, host, port, log_level="warning", ws="none", server_header=False)
    )
    if not no_browser:
        threading.Timer(1.0, webbrowser.open, (address,)).start()
    server.run()
