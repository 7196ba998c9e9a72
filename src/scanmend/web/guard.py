"""Who may ask: the middleware before everything else.

A page of another site can have a browser send requests here, and with DNS under its control even
call itself by our name. So the name that is asked for must be ours, what changes something must
come from our own page, and beyond this machine a token must be known. Raters of a blind study do
not know it: what lies below /rate/ asks for tokens of its own, and leads nowhere else.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .settings import Settings

JSON_BYTES = 1 << 20
"""Of a request that is no file."""

_FOR_RATERS = re.compile(r"/rate/(\w+\.\w+|api(/\w+)+)?", re.ASCII)
"""Paths that need no token of the server's: spelt so that none can turn back to others."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets a request pass to `app`, or answers it with one line."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._names = {"localhost", *map(str.lower, settings.names)}
        if not settings.is_local:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._cookie = f"scanmend_{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        most = self._settings.upload_bytes
        if not headers.get("content-type", "").startswith("multipart/form-data"):
            most = min(most, JSON_BYTES)
        if refusal := self._refusal(scope, headers, most):
            await _answer(send, *refusal)
        elif self._settings.token and (asked := self._with_token(scope)):
            await _answer(send, 303, "go on", asked)
        elif not (_FOR_RATERS.fullmatch(scope["path"]) or self._is_known(headers)):
            await _answer(send, 401, "a token is needed: open the address that the server printed")
        else:
            await self._app(scope, _counted(receive, most), _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers, most: int) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 421, "this server is not known by that name: see its option --name"
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
            own = origin is None or urlsplit(origin).netloc.lower() == hosts[0].lower()
            if not own or site not in ("same-origin", "none"):
                return 403, "a page of another site may change nothing here"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            return 400, f"Content-Length must be a number of bytes, got {length!r}"
        return _too_large(most) if int(length) > most else None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        # An address is no name that another site could have pointed here.
        return address.is_loopback or not self._settings.is_local

    def _with_token(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        """Where to go on without the token that the address holds, and the cookie instead."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == "token"]
        if scope["method"] != "GET" or not given or not self._fits(given[0]):
            return None
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        path = "/" + scope["path"].lstrip("/")  # //elsewhere would lead to another host
        cookie = SimpleCookie({self._cookie: given[0]})[self._cookie]
        cookie |= {"path": "/", "httponly": True, "samesite": "Lax"}
        cookie["secure"] = scope["scheme"] == "https"
        where = Headers({"location": path}).raw[0][1] + (f"?{rest}".encode() if rest else b"")
        return [(b"location", where), (b"set-cookie", cookie.OutputString().encode())]

    def _is_known(self, headers: Headers) -> bool:
        if not self._settings.token:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._fits(bearer):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return self._cookie in cookies and self._fits(cookies[self._cookie].value)

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), (self._settings.token or "").encode())


def _too_large(most: int) -> tuple[int, str]:
    return 413, f"a request may have {most} bytes at most: crop the scan, or use the command line"


def _counted(receive: Receive, most: int) -> Receive:
    """`receive`, which fails when more comes than may, whatever was said before."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(*_too_large(most))
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [*message.get("headers", ()), *_raw(_HEADERS.items())]
            if not any(key == b"cache-control" for key, _ in own):
                own.append((b"cache-control", b"no-cache"))  # a page is as new as its server
            message["headers"] = own
        await send(message)

    return sending


async def _answer(
    send: Send, status: int, text: str, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [
        *_raw({"content-type": "application/json", "content-length": str(len(body))}.items()),
        *_raw(_HEADERS.items()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(key.lower().encode(), value.encode()) for key, value in headers]
