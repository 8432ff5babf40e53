"""A request for another worker's user: forwarded once, its trace context with it, and that of the answer back."""

import asyncio
import json
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from muse_stream.streams.tracing.context import TraceContext, parse
from muse_stream.streams.tracing.tracing import Trace
from muse_stream.streams.worker.http import add_routes
from muse_stream.streams.worker.scored import Scored

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT, OWN = f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-1111111111111111-01"


class Worker:
    """Owns nothing, or everything; gives every trace a span of its own."""

    draining = False

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.given: list[TraceContext | None] = []

    def partition_of_user(self, user: str) -> int:
        return 0

    def owner(self, partition: int) -> str:
        return self._owner

    def stands_in(self, partition: int) -> bool:
        return False

    def traced(self, context: TraceContext | None) -> Trace:
        self.given.append(context)
        return Trace(parse(OWN, context.state)) if context else Trace()

    async def score(self, user: str, body: bytes, arrived: float, trace: Trace) -> Scored:
        return Scored(200, b'{"status": "ok"}')


def server_of(worker: Any) -> TestServer:
    app = web.Application()
    add_routes(app, worker)
    return TestServer(app)


def answered(headers: dict[str, str]) -> tuple[Worker, Worker, dict[str, str]]:
    """Ask a worker that forwards; it, the owner, and the answer's headers."""

    async def scenario() -> tuple[Worker, Worker, dict[str, str]]:
        owner = Worker("")
        async with server_of(owner) as there:
            asked = Worker(str(there.make_url("/")))
            async with server_of(asked) as here, ClientSession() as session:
                body = json.dumps({"user": 1, "request_id": "r", "candidates": [2]})
                async with session.post(here.make_url("/v1/score"), data=body, headers=headers) as response:
                    assert response.status == 200
                    return asked, owner, dict(response.headers)

    return asyncio.run(scenario())


def test_the_owner_gets_the_callers_context_and_the_caller_the_owners() -> None:
    asked, owner, headers = answered({"traceparent": PARENT, "tracestate": "rojo=1"})
    assert asked.given == [], "who forwards has no part in the trace"
    assert owner.given == [parse(PARENT, "rojo=1")]
    assert (headers["traceparent"], headers["tracestate"]) == (OWN, "rojo=1")


def test_without_a_context_there_is_none() -> None:
    _, owner, headers = answered({})
    assert owner.given == [None]
    assert "traceparent" not in headers
