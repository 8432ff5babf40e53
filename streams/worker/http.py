"""The worker's web routes: metrics, health, status, and requests over HTTP.

A request or read for a user whom another worker owns is forwarded there once (header `muse-forwarded`), because only
the owner's store is known to be current; while nobody owns the partition the answer is 503 with `Retry-After`. Errors
are problem documents (RFC 9457) with a stable `code`.

Where the settings allow it, a request is answered here for a partition that this worker owned until the rebalance under
way: nobody else would answer it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp import web

from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.tracing.context import PARENT, STATE, TraceContext, from_http
from muse_stream.streams.tracing.tracing import Trace
from muse_stream.streams.worker import page
from muse_stream.streams.worker.scored import AGAIN_SECONDS, FRESHNESS, RETRY_AFTER, UNAVAILABLE, Scored

FORWARDED = "muse-forwarded"
FORWARD_TIMEOUT_SECONDS = 30.0
TRACES = (PARENT, STATE)
"""Headers that the owner gets of a forwarded request, and the client of its answer."""
PASSED_ON = (FRESHNESS, RETRY_AFTER, *TRACES)
"""Headers of an owner's answer that the client gets, too."""
MAX_BODY_BYTES = 4 << 20
"""2 000 candidates with a vector of 1 024 numbers in base64 each are 2.8 MB."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service(Protocol):
    """What the routes show and ask."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Prometheus exposition and its content type, as the scraper's Accept header asks."""

    def health(self, kind: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and body of the checks of `live`, `ready` or `startup`."""

    def status(self) -> dict[str, Any]:
        """Partitions, positions, rates and freshness, for people and the demo; asked in a thread beside the loop."""

    def partition_of_user(self, user: str) -> int:
        """Partition that a user's text id hashes to."""

    def owner(self, partition: int) -> str | None:
        """Base URL of the partition's owner; empty for this worker, None for nobody."""

    def traced(self, context: TraceContext | None) -> Trace:
        """The place in a trace of a request that came with this context."""

    @property
    def draining(self) -> bool:
        """Whether the worker is about to stop."""

    def stands_in(self, partition: int) -> bool:
        """Whether this worker may answer for a partition that nobody owns at this moment."""

    async def score(self, user: str, body: bytes, arrived: float, trace: Trace) -> Scored:
        """Answer to one request, which came at `arrived` by the clock of `time.perf_counter`."""

    async def sequence(self, user: str, limit: int) -> dict[str, Any]:
        """Profile and last behaviours of a user."""

    async def pool_page(self, partition: int, after: int | None) -> dict[str, Any]:
        """Digests of the next resident users of a partition, from memory and from the store."""

    async def vector_tables(self) -> dict[str, Any]:
        """Digests of the vector tables, from memory and from the store."""

    def snapshots(self) -> dict[str, Any]:
        """What is known of the snapshots of the partitions served."""

    def request_snapshot(self, partition: int) -> dict[str, Any] | None:
        """Ask for a snapshot of a partition; what is known of it, None where this worker cannot make one."""


def problem(status: int, code: str, detail: str, **headers: str) -> web.Response:
    """A problem document."""
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code, "detail": detail}
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/problem+json", headers=headers
    )


def json_response(body: object, status: int = 200) -> web.Response:
    """A JSON document."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def add_routes(app: web.Application, service: Service) -> None:
    """Add every route of the worker to an aiohttp application."""
    routes = _Routes(service)
    app.add_routes(
        [
            web.get("/metrics", routes.metrics),
            web.get("/health/{kind:live|ready|startup}", routes.health),
            web.get("/v1/status", routes.status),
            web.post("/v1/score", routes.score),
            web.get("/v1/users/{user}/sequence", routes.sequence),
            web.get("/v1/audit/pool/{partition:\\d+}", routes.pool_page),
            web.get("/v1/audit/vectors", routes.vector_tables),
            web.get("/v1/snapshots", routes.snapshots),
            web.post(r"/v1/snapshots/{partition:\d{1,9}}", routes.request_snapshot),
            *page.routes(),
        ]
    )


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._service.metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def health(self, request: web.Request) -> web.Response:
        status, body = self._service.health(request.match_info["kind"])
        return json_response(body, status)

    async def status(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(lambda: msgspec.json.encode(self._service.status()))
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def score(self, request: web.Request) -> web.StreamResponse:
        arrived = time.perf_counter()
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return problem(413, "too_large", f"the body has more than {MAX_BODY_BYTES} bytes; send less")
        try:
            user = msgspec.convert(msgspec.json.decode(body)["user"], str | int)
        except (msgspec.MsgspecError, KeyError, TypeError):
            return problem(400, "malformed", "the body must be a JSON request with the field 'user' (text or integer)")

        async def here() -> web.StreamResponse:
            trace = self._service.traced(from_http(request.headers))
            found = await self._service.score(str(user), body, arrived, trace)
            headers = {**found.headers, **trace.http_headers()}
            response = web.Response(
                body=found.body, status=found.status, content_type="application/json", headers=headers
            )
            if self._service.draining:  # the client's next request had better go to another worker
                response.force_close()
            return response

        if self._service.stands_in(self._service.partition_of_user(str(user))):
            return await here()
        return await self._at_owner(request, str(user), body, here)

    async def sequence(self, request: web.Request) -> web.StreamResponse:
        user = request.match_info["user"]
        limit = request.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= 1_000:
            return problem(400, "malformed", f"limit is {limit!r}, expected 1 to 1000")

        async def here() -> web.StreamResponse:
            return json_response(await self._service.sequence(user, int(limit)))

        return await self._at_owner(request, user, b"", here)

    async def pool_page(self, request: web.Request) -> web.Response:
        after = request.query.get("after")
        try:
            number = None if after is None else int(after)
            return json_response(await self._service.pool_page(int(request.match_info["partition"]), number))
        except ValueError:
            return problem(400, "malformed", f"after is {after!r}, expected a user's 64-bit id")
        except PartitionNotHereError as error:
            return problem(404, "not_here", str(error))

    async def vector_tables(self, _: web.Request) -> web.Response:
        return json_response(await self._service.vector_tables())

    async def snapshots(self, _: web.Request) -> web.Response:
        return json_response(self._service.snapshots())

    async def request_snapshot(self, request: web.Request) -> web.Response:
        partition = int(request.match_info["partition"])
        found = self._service.request_snapshot(partition)
        if found is not None:
            return json_response(found, 202)
        owner = self._service.owner(partition)
        if owner == "":
            return problem(409, "no_location", "this worker makes no snapshots; set snapshots.location")
        detail = f"this worker does not own partition {partition}; the owner is {owner or 'not known at this moment'}"
        return problem(409, "not_owner", detail)

    async def _at_owner(
        self, request: web.Request, user: str, body: bytes, here: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        partition = self._service.partition_of_user(user)
        owner = self._service.owner(partition)
        if owner == "":
            return await here()
        if owner is None or FORWARDED in request.headers:
            detail = f"nobody owns partition {partition} at this moment (a rebalance); try again"
            return _ask_again("not_ready", detail)
        return await _forward(request, owner, body)


async def _forward(request: web.Request, owner: str, body: bytes) -> web.StreamResponse:
    url = owner.rstrip("/") + request.path_qs
    headers = {FORWARDED: "1", **_only(TRACES, request.headers)}
    timeout = aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(request.method, url, data=body or None, headers=headers) as response,
        ):
            answer = await response.read()
            back = _only(PASSED_ON, response.headers)
            return web.Response(body=answer, status=response.status, content_type=response.content_type, headers=back)
    except (aiohttp.ClientError, TimeoutError) as error:
        return _ask_again("owner_unreachable", f"{url}: {error!r}; try again")


def _ask_again(code: str, detail: str) -> web.Response:
    return problem(UNAVAILABLE, code, detail, **{RETRY_AFTER: str(AGAIN_SECONDS)})


def _only(names: Iterable[str], headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
