"""The interface described on one page, without a script of anybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>HTTP interface – scanmend</title><link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css"><script type="module" src="/reference.js"></script></head>
<body><header></header><main class="reference"><h1>HTTP interface</h1>
<p>Errors are JSON, <code>{{"error": "one line"}}</code>. For programs that read such things, the
same as <a href="/api/openapi.json">OpenAPI</a>. A token, where one is needed, goes into the header
<code>Authorization: Bearer TOKEN</code>.</p>
{operations}
</main></body></html>
"""


def page(schema: dict[str, Any]) -> str:
    """The page, from an OpenAPI document."""
    parts = schema.get("components", {}).get("schemas", {})
    operations = [
        _operation(method, path, operation, parts)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    return _PAGE.format(operations="\n".join(operations))


def _operation(method: str, path: str, operation: dict[str, Any], parts: dict[str, Any]) -> str:
    said = "".join(
        f"<p>{escape(part)}</p>" for part in operation.get("description", "").split("\n\n")
    )
    given = [
        (one["name"], one.get("required"), {"description": one.get("description")} | one["schema"])
        for one in operation.get("parameters", ())
    ]
    tables = _table(given)
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        body = content["schema"]
        body = parts[body["$ref"].rpartition("/")[2]] if "$ref" in body else body
        needed = body.get("required", ())
        fields = [(n, n in needed, about) for n, about in body.get("properties", {}).items()]
        tables += f"<p>Body, <code>{escape(media)}</code>:</p>{_table(fields)}"
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2>{said}{tables}"


def _table(fields: Sequence[tuple[str, bool | None, dict[str, Any]]]) -> str:
    rows = "".join(_row(*field) for field in fields)
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def _row(name: str, required: bool | None, schema: dict[str, Any]) -> str:
    kinds = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    kind = " or ".join(map(_kind, kinds))
    default = schema.get("default")
    if required:
        kind += ", required"
    elif default not in (None, ""):
        kind += f", by default {default}"
    cells = f"<td>{escape(kind)}</td><td>{escape(schema.get('description') or '')}</td>"
    return f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>'


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "items" in schema:
        return f"any number of: {_kind(schema['items'])}"
    return "file" if schema.get("format") == "binary" else str(schema.get("type", ""))
