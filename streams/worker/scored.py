"""An answer as HTTP has it: status, headers, body.

Invariant: every 503 says when to ask again; an answer that is not up to date says so in a header, too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.wire.answers import Status

FRESHNESS, RETRY_AFTER = "Freshness", "Retry-After"
AGAIN_SECONDS = 1
"""Where nobody knows better: a rebalance takes seconds, and a client that asks once a second is no load."""
UNAVAILABLE = 503
HTTP_STATUS = {
    Status.OK: 200,
    Status.PREFETCHED: 200,
    Status.MALFORMED: 400,
    Status.TOO_LARGE: 413,
    Status.OVERLOAD: UNAVAILABLE,
    Status.NOT_READY: UNAVAILABLE,
    Status.EXPIRED: 504,
    Status.ERROR: 500,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """Answer to one request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def scored(reply: Reply) -> Scored:
    """An answer of the desk."""
    headers = {}
    status = HTTP_STATUS[reply.status]
    if status == UNAVAILABLE:
        headers[RETRY_AFTER] = str(max(AGAIN_SECONDS, math.ceil((reply.retry_after_ms or 0) / 1e3)))
    if reply.stale_seconds is not None:
        headers[FRESHNESS] = f"{reply.stale_seconds:.3f}"
    return Scored(status, reply.body, headers)


def _left() -> Scored:
    error = {"code": "not_ready", "message": "the partition has just left this worker; ask again"}
    body = msgspec.json.encode({"status": "not_ready", "error": error})
    return Scored(UNAVAILABLE, body, {RETRY_AFTER: str(AGAIN_SECONDS)})


LEFT = _left()
"""The partition left while the request waited; its next owner will answer."""
