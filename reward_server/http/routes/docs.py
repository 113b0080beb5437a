"""``GET /docs``: the service's own documentation, one page that loads nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

__all__ = ["router"]

router = APIRouter()

_STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{border-top:1px solid #999;padding-top:1rem}code,pre{font-size:14px}
pre{background:#8881;padding:.7rem;overflow-x:auto}
td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}:root{color-scheme:light dark}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Shows every route with its parameters, an example request, and the answers."""
    schema: dict[str, Any] = request.app.openapi()
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse("".join(_page(schema)), headers=headers)


def _page(schema: Mapping[str, Any]) -> Iterator[str]:
    info = schema["info"]
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
    yield f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
    yield f"<p>{escape(info['description'])}"
    yield "<p>With every schema: <a href=openapi.json>openapi.json</a>."
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(name)}</code> {escape(operation['summary'])}</h2>"
    yield f"<p>{escape(operation.get('description', ''))}"
    parameters = operation.get("parameters", ())
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>"
        for one in parameters:
            said = one.get("description") or one["schema"].get("description", "")
            needed = " (required)" if one.get("required") else ""
            yield f"<tr><td><code>{escape(one['name'])}</code><td>{escape(one['in'])}"
            yield f"<td>{escape(said)}{needed}"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Takes <code>{escape(kind)}</code>"
        for example in content.get("examples", {}).values():
            yield f"<p>{escape(example['summary'])}{_shown(example['value'])}"
        if "example" in content:
            yield _shown(content["example"])
    for status, response in operation["responses"].items():
        yield f"<p><b>{escape(status)}</b> {escape(response['description'])}"
        for content in response.get("content", {}).values():
            if "example" in content:
                yield _shown(content["example"])


def _shown(example: object) -> str:
    text = example if isinstance(example, str) else json.dumps(example, indent=2)
    return f"<pre>{escape(text)}</pre>"
