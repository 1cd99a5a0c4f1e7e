"""`/schema/openapi.json`, and `/schema`, a page that shows it readably and loads nothing from elsewhere."""

from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from app.api.openapi.document import openapi_document

_PAGE = files("app.api.openapi") / "page"
_TYPES = {"index.html": "text/html", "style.css": "text/css", "script.js": "text/javascript"}

# Nothing but its own three files, and nobody may frame it: a page that asks for tokens must not be one that others can dress up.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_schema_router(public_url: str = "") -> Router:
    """The document of the application that the router is part of, made at the first request. `public_url` is where callers reach it."""
    made: list[bytes] = []

    @get("/openapi.json")
    async def get_document(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not made:
            made.append(msgspec.json.encode(openapi_document(request.app, public_url)))
        return Response(made[0], media_type="application/json")

    @get("/")
    async def get_page() -> Response[bytes]:
        return _file("index.html")

    @get("/style.css")
    async def get_style() -> Response[bytes]:
        return _file("style.css")

    @get("/script.js")
    async def get_script() -> Response[bytes]:
        return _file("script.js")

    return Router("/schema", route_handlers=[get_document, get_page, get_style, get_script], include_in_schema=False, opt={"public": True})


def _file(name: str) -> Response[bytes]:
    return Response(
        (_PAGE / name).read_bytes(), media_type=_TYPES[name], headers={"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-cache"}
    )
