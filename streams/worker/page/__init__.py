"""The status page: one HTML file, one style sheet, three scripts, all of them ours and read once.

Invariant: nothing is loaded from elsewhere (the policy below forbids it), addresses are relative, so that the page also
works behind a proxy that puts a path before it, and all that it knows comes from `/v1/status`.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Asked for again each time, since a page of another build would not fit the document."""
FILES = {
    "page.html": ("text/html", ("/", "/status")),
    "page.css": ("text/css", ("/status/page.css",)),
    "page.js": ("text/javascript", ("/status/page.js",)),
    "questions.js": ("text/javascript", ("/status/questions.js",)),
    "elements.js": ("text/javascript", ("/status/elements.js",)),
    "icon.svg": ("image/svg+xml", ("/status/icon.svg",)),
}
"""File beside this module -> content type, paths."""


def routes() -> list[web.RouteDef]:
    """The page and what it is made of."""
    return [
        web.get(path, _serving((files(__name__) / name).read_bytes(), kind))
        for name, (kind, paths) in FILES.items()
        for path in paths
    ]


def _serving(body: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return serve
