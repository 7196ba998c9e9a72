"""The interface described on one page, without a script of anybody else's."""

from __future__ import annotations

from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>scanmend: HTTP interface</title><link rel="stylesheet" href="/style.css"></head>
<body class="reference"><main><h1>HTTP interface</h1>
<p>Errors are JSON, <code>{{"error": "one line"}}</code>. For programs that read such things, the
same as <a href="/api/openapi.json">OpenAPI</a>. A token, where one is needed, goes into the header
<code>Authorization: Bearer TOKEN</code>.</p>
{operations}
</main></body></html>
"""


def page(schema: dict[str, Any]) -> str:
    """The page, from an OpenAPI document."""
    operations = [
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    return _PAGE.format(operations="\n".join(operations))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    said = "".join(
        f"<p>{escape(part)}</p>" for part in operation.get("description", "").split("\n\n")
    )
    rows = "".join(map(_parameter, operation.get("parameters", ())))
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2>{said}{table}"


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    kinds = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    kind = " or ".join(
        ", ".join(map(str, s["enum"])) if "enum" in s else str(s.get("type", s.get("const", "")))
        for s in kinds
    )
    default = schema.get("default")
    if parameter.get("required"):
        kind += ", required"
    elif default not in (None, ""):
        kind += f", by default {default}"
    cells = parameter["name"], kind, parameter.get("description") or ""
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
