"""A server on this machine, as a browser or a program meets it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import uvicorn

from scanmend.web import app
from scanmend.web.settings import Settings

SLOW_MS = 60_000  # a machine may be busy


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """A client of an application that runs with these settings, at a port that was free."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings = replace(settings, port=listening.getsockname()[1])
    how = uvicorn.Config(
        app.create(settings), log_level="warning", ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(how)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{settings.port}", timeout=60, trust_env=False
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def shown(browser: Any, address: str, path: str = "/") -> Iterator[Any]:
    """A page, fresh; whatever it asks of another host, and every error in it, fails the test."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme="light")
    context.set_default_timeout(SLOW_MS)
    elsewhere, errors = [], []

    def only_here(route: Any) -> None:
        if route.request.url.startswith((address, "blob:", "data:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", only_here)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address.rstrip("/") + path)
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert not elsewhere, "another host was asked"
    assert not errors, errors


def finished(client: httpx.Client, id: str, limit_s: float = 60.0) -> dict[str, Any]:
    """What is told of a job when it is over."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        job = client.get(f"/api/jobs/{id}").json()
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.02)
    raise TimeoutError(f"job {id} is not over after {limit_s} s: {job}")
