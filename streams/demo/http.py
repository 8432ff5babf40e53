"""GET and POST against a worker's own web server, with nothing but the standard library."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """HTTP status (0: nobody answered) and the JSON body, an empty object where it was none."""

    status: int
    body: dict[str, Any]


def get_json(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Reply:
    """GET a JSON document; a refused connection is a reply with status 0."""
    return _reply(urllib.request.Request(url), timeout_seconds)  # noqa: S310 -- http to a worker of our own


def post_json(url: str, body: bytes, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Reply:
    """POST a JSON document; a refused connection is a reply with status 0."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    return _reply(request, timeout_seconds)


def _reply(request: urllib.request.Request, timeout_seconds: float) -> Reply:
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            return Reply(response.status, _object(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _object(error.read()))
    except (urllib.error.URLError, OSError):
        return Reply(0, {})


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
