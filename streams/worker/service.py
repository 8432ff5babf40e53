"""The worker as an object: data plane, model, desk, metrics and health, wired together.

Life: the model is loaded as the object is made; `start` begins to read items and to follow what is activated; Faust
says which partitions are ours; `drain` says no to `/health/ready` while what was taken is answered; `stop` ends the
passes, then the reading threads, then closes every store.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any, cast

import muse_stream
from muse_stream.gsu_engine import quantise
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.monitoring import (
    Canaries,
    CaughtUp,
    Health,
    Heartbeats,
    IngestReading,
    Metrics,
    Probe,
    RestoreProgress,
    gpu_check,
    held_back_check,
    model_check,
)
from muse_stream.monitoring.journal import Journal
from muse_stream.monitoring.logs import SlowRequests, UserTags
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.models.opening import follow, open_store, open_writer, worker_id
from muse_stream.streams.serving.desk import Desk, Limits, Reply
from muse_stream.streams.serving.pipeline import Parts
from muse_stream.streams.settings import Settings
from muse_stream.streams.tracing.context import TraceContext
from muse_stream.streams.tracing.tracing import UNTRACED, Trace, open_tracing
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.canary import is_canary
from muse_stream.streams.wire.ids import is_reserved
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.requests import RequestRules
from muse_stream.streams.wire.users import decode_profile
from muse_stream.streams.worker import checks as worker_checks
from muse_stream.streams.worker import data_plane, memory_check, readings
from muse_stream.streams.worker.build import built
from muse_stream.streams.worker.copies import OwnedCopies
from muse_stream.streams.worker.loop_watch import LoopWatch
from muse_stream.streams.worker.observing import ObservedPipeline
from muse_stream.streams.worker.scored import LEFT, Scored, scored
from muse_stream.streams.worker.snapshot_status import Copied, Schedule
from muse_stream.streams.worker.snapshots import Snapshots
from muse_stream.streams.worker.stale_copies import StaleCopies
from muse_stream.streams.worker.status import StatusPage
from muse_stream.streams.worker.swapping.following import Following
from muse_stream.streams.worker.swapping.models import Models, Surroundings
from muse_stream.streams.worker.users import user_document
from muse_stream.streams.worker.watchdog import Watchdog

log = logging.getLogger(__name__)


def _metrics(settings: Settings) -> Metrics:
    topics = settings.topics
    return Metrics(
        reasons=[str(reason) for reason in Reason],
        outcomes=[str(status) for status in Status],
        version=muse_stream.__version__,
        built=built(),
        topics={topics.behaviours: "behaviours", topics.users: "users", topics.items: "items"},
        enabled=settings.monitoring.enabled,
    )


class WorkerService:
    """Everything of one worker but Faust; the web routes' `Service`."""

    def __init__(self, settings: Settings, journal: Journal | None = None) -> None:
        """Load the model, open the item store and connect; raises what those raise. `journal`: the last warnings."""
        self._settings = settings
        self.metrics_registry = _metrics(settings)
        self._tracing = open_tracing(settings, muse_stream.__version__)
        store = open_store(settings)
        self._following = Following(partial(follow, settings)) if store else None
        self._health = Health()
        self.page = StatusPage(
            self.metrics_registry,
            self._health,
            self._read_ingest,
            partition_count=settings.topics.partitions,
            journal=journal or Journal(),
        )
        self.plane = data_plane.build(
            settings,
            self._observe,
            committed=self.metrics_registry.ingest.committed,
            restored=self.metrics_registry.restores.ended,
            letters_sent=self.page.sent,
        )
        around = Surroundings(settings, self.plane, self._parts(), store)
        self.models = Models(around, self.metrics_registry, lambda: self.desk.depth)
        self.models.begin(self._following.first() if self._following else None)
        self.copies = OwnedCopies(
            self.plane.ingest,
            lambda: self.plane.items.state().ready,
            self.metrics_registry.ingest.rebalanced,
            self.metrics_registry.ingest.settled,
            late_seconds_max=settings.monitoring.stale_max_seconds,
        )
        self._snapshots = self._make_snapshots()
        self._stale = self._make_stale_copies()
        beats = Heartbeats(settings.monitoring.heartbeat_max_seconds)
        self.desk = self._make_desk(around.parts, beats)
        self._slow = SlowRequests(settings.monitoring.slow_request_ms / 1e3, UserTags(settings.app.name))
        self._loop = LoopWatch(settings.monitoring.heartbeat_max_seconds)
        self._health.add("event_loop", Probe.LIVE, self._loop.check)
        self._health.add("search_thread", Probe.LIVE, lambda: worker_checks.search(self.desk.fault, beats))
        self._in_flight = 0
        self.posts = 0  # requests over HTTP that are not answered yet
        self.owner_of: Callable[[int], str | None] = lambda partition: None
        wanted, figures = settings.canary, self.metrics_registry.canary
        self.canaries = Canaries(
            figures, interval_seconds=wanted.interval_seconds, timeout_seconds=wanted.timeout_seconds
        )
        self.canary_answered: Callable[[Reply], None] = lambda reply: None
        self._watch()

    def _make_desk(self, parts: Parts, beats: Heartbeats) -> Desk:
        return Desk(
            ObservedPipeline(parts, self.metrics_registry.quality, beats, self.models.seen),
            self.copies,
            self._request_rules(),
            self._limits(),
            has_model=lambda: True,
            watch=self.metrics_registry.requests,
            first=self.plane.ingest.courtesy,
        )

    def _make_stale_copies(self) -> StaleCopies:
        return StaleCopies(
            self._settings.state.directory,
            self._settings.topics.behaviours,
            self.plane.ingest,
            hours=self._settings.state.stale_copy_hours,
            settled=lambda: self.copies.assigned_at is not None,
        )

    def _parts(self) -> Parts:
        return Parts(
            lease=self.plane.ingest.stores.lease,
            live=lambda: self.plane.live,
            inverse_norms=inverse_norms,
            profile=decode_profile,
            items_moment=self.plane.items.moment,
            damaged=self.plane.ingest.report,
            explain_candidates=self._settings.serving.explain_candidates,
            history_bytes=self._settings.serving.history_cache_bytes,
        )

    def _request_rules(self) -> RequestRules:
        return RequestRules(
            partition_count=self._settings.topics.partitions,
            spaces=self._settings.items.spaces,
            quantise=quantise,
            actions=self._settings.actions,
            candidates_max=self._settings.serving.candidates_max,
        )

    def _limits(self) -> Limits:
        serving = self._settings.serving
        return Limits(
            age_max_ms=serving.age_max_ms,
            deadline_default_ms=serving.deadline_default_ms,
            ready_wait_ms=serving.ready_wait_ms,
            answer_max_bytes=serving.answer_max_bytes,
            queue_max=serving.queue_max,
            pass_ms_max=serving.pass_ms_max,
            batch_candidates_max=serving.batch_candidates_max,
            batch_window_ms=serving.batch_window_ms,
            features_share=serving.features_share,
            stale_max_seconds=serving.stale_max_seconds,
        )

    def _make_snapshots(self) -> Snapshots | None:
        """The thread that makes them; None without a location."""
        wanted = self._settings.snapshots
        if wanted.location is None:
            return None
        schedule = Schedule(
            location=wanted.location,
            topic=self._settings.topics.behaviours,
            directory=self._settings.state.directory,
            interval_seconds=wanted.interval_hours * 3600,
            keep=wanted.keep,
            tool=muse_stream.__version__,
        )
        lease = cast("Callable[[int], AbstractContextManager[Copied]]", self.plane.ingest.stores.lease)
        return Snapshots(schedule, lease, self._served)

    def _served(self) -> Mapping[int, bool]:
        """Partitions owned, and whether their stores have caught up."""
        return {number: state.ready for number, state in self.plane.ingest.states().items() if state.serving}

    def _watch(self) -> None:
        settings, metrics = self._settings, self.metrics_registry
        read_ingest = self._read_ingest
        metrics.watch_ingest(read_ingest)
        metrics.watch_canary(self.canaries.unseen_seconds)
        metrics.watch_requests(
            in_flight=lambda: self._in_flight,
            queued=lambda: self.desk.depth,
            saturation=lambda: self.desk.saturation,
        )
        metrics.watch_stores(partial(readings.store_reading, self.plane))
        metrics.watch_disk(partial(readings.disk_reading, settings.state.directory))
        metrics.watch_control(lambda: self._following.skipped if self._following else 0, self.models.refused)
        metrics.watch_engines(self.plane.engines.stats)
        metrics.watch_models(self.models.readings)
        metrics.watch_coverage(self.models.coverages)
        caught_up = CaughtUp(
            read_ingest,
            lag_messages_max=settings.monitoring.ready_lag_records_max,
            stale_seconds_max=settings.monitoring.stale_max_seconds,
        )
        health, silent_max = self._health, settings.monitoring.heartbeat_max_seconds
        health.add("ingest_thread", Probe.LIVE, partial(worker_checks.thread, self.plane.ingest, silent_max))
        health.add("items_thread", Probe.LIVE, partial(worker_checks.thread, self.plane.items, silent_max))
        health.add("assignment", Probe.READY, lambda: worker_checks.assignment(self.copies))
        health.add("partitions", Probe.READY, caught_up.check)
        health.add("transactions", Probe.READY, lambda: held_back_check(read_ingest))
        health.add("items", Probe.READY, lambda: worker_checks.items(self.plane))
        health.add("gpu", Probe.READY, lambda: gpu_check(lambda: self.plane.engine.stats().device))
        health.add("model", Probe.READY, lambda: model_check(self.plane.serving.reading))
        metrics.watch_stale_copies(self._stale.reading)
        if self._snapshots:
            metrics.watch_snapshots(self._snapshots.reading)
            health.add("snapshots", Probe.READY, self._snapshots.check)
        arriving = self.plane.restorer.progress if self.plane.restorer else dict
        health.tell_progress(RestoreProgress(read_ingest, arriving).look)
        metrics.watch_health(health)

    def _read_ingest(self) -> IngestReading:
        return readings.ingest_reading(self.plane, self._settings)

    def _observe(self, batch: BatchStats) -> None:
        self.metrics_registry.ingest.batch(batch)
        self._tracing.ingested(batch)

    def start(self) -> None:
        """Begin to read and compute; on the event loop."""
        self._loop.start()
        self.plane.start()
        self.desk.start()
        self.models.start()
        if self._following:
            self._following.follow(self.models, open_writer(self._settings), worker_id(self._settings))
        self._stale.start()
        if self._snapshots:
            self._snapshots.start()

    def watched_by(self, watchdog: Watchdog) -> None:
        """Show what a watchdog finds in metrics and health."""
        self.metrics_registry.watch_watchdog(watchdog.stuck)
        self._health.add("progress", Probe.READY, watchdog.ready_check)
        self._health.add("no_hang", Probe.LIVE, watchdog.live_check)

    def drain(self) -> None:
        """Say no to `/health/ready` from now on."""
        self._health.drain()

    @property
    def draining(self) -> bool:
        """Whether the worker is about to stop."""
        return self._health.draining

    async def stop(self) -> None:
        """End passes, reading and stores."""
        if self._following:
            self._following.close()
        await self.desk.stop()
        self.models.close()
        self.copies.close()
        self._stale.close()
        self._loop.close()
        if self._snapshots:
            self._snapshots.close()
        self.plane.close()
        await asyncio.to_thread(self._tracing.close)

    def traced(self, context: TraceContext | None) -> Trace:
        """The place in a trace of a request that came with this context."""
        return self._tracing.begin(context)

    async def answer(
        self,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        broker_time_ms: float,
        *,
        arrived: float,
        may_stand_in: bool = False,
        trace: Trace = UNTRACED,
    ) -> Reply | None:
        """Answer one request; None: the partition's next owner will."""
        more: dict[str, Any] = {"arrived": arrived, "may_stand_in": may_stand_in, "trace": trace.id}
        counted = not is_reserved(key)
        self._in_flight += counted
        try:
            return await self.desk.answer(key, value, partition=partition, broker_time_ms=broker_time_ms, **more)
        finally:
            self._in_flight -= counted

    def answered(self, reply: Reply, trace: Trace = UNTRACED) -> None:
        """Count an answer that the client has, or the broker for it; the canary's is handed on and counted apart."""
        if is_reserved(reply.user) and is_canary(reply.user.encode(), self._settings.topics.partitions):
            self.canary_answered(reply)
            return
        stages, seconds = reply.clock.seconds, reply.clock.elapsed()
        sizes = {"candidates": reply.candidates, "history": reply.history_length}
        self.metrics_registry.requests.answered(reply.status, seconds, stages, **sizes)
        self.metrics_registry.requests.left_out(reply.left_out)
        if reply.stale_seconds is not None:
            self.metrics_registry.requests.stale()
        self._slow.answered(reply.request_id, reply.user, seconds, stages, **sizes, trace=trace.id)
        self._tracing.answered(trace, reply.status, stages, {"request_id": reply.request_id, **sizes})

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Prometheus exposition and its content type."""
        return self.metrics_registry.exposition(accept)

    def health(self, kind: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and body of one probe."""
        answer = getattr(self._health, kind)()
        return int(answer.status), answer.body

    def status(self) -> dict[str, Any]:
        """The status document; any thread."""
        info = self.plane.live.info
        late, sections = self.page.late()
        return {
            **readings.status(self.plane, self._settings, late),
            **sections,
            "model": {"version": info.version, "digest": info.digest} if info else None,
            "models": self.models.shown(),
            "coverage": self.models.coverages(),
            "owned": sorted(self.copies.owned),
        }

    def partition_of_user(self, user: str) -> int:
        """Partition that a user's text id hashes to."""
        return partition_of_key(user.encode(), self._settings.topics.partitions)

    def owner(self, partition: int) -> str | None:
        """Base URL of the owner; empty for this worker, None for nobody."""
        return "" if self.copies.serves(partition) else self.owner_of(partition)

    def stands_in(self, partition: int) -> bool:
        """Whether this worker may answer for a partition that nobody owns at this moment."""
        late_max = self._settings.serving.stale_max_seconds
        return late_max > 0 and self.copies.stands_in(partition) and self.copies.late_seconds(partition) <= late_max

    async def score(self, user: str, body: bytes, arrived: float, trace: Trace = UNTRACED) -> Scored:
        """Answer a request that came over HTTP."""
        at, now_ms = self.partition_of_user(user), time.time() * 1e3
        self.posts += 1
        try:
            reply = await self.answer(user.encode(), body, at, now_ms, arrived=arrived, may_stand_in=True, trace=trace)
        finally:
            self.posts -= 1
        if reply is None:
            return LEFT
        self.answered(reply, trace)
        return scored(reply)

    async def sequence(self, user: str, limit: int) -> dict[str, Any]:
        """Profile and last behaviours of a user, with titles."""
        partition = self.partition_of_user(user)
        try:
            with self.plane.ingest.stores.lease(partition) as store, store.moment() as moment:
                return user_document(
                    user, partition, moment, titles=self.plane.items.titles, limit=limit, actions=self._settings.actions
                )
        except PartitionNotHereError:
            return {"user": user, "partition": partition, "error": "not here any more; ask again"}

    def snapshots(self) -> dict[str, Any]:
        """What is known of the snapshots of the partitions served."""
        shown = self._snapshots.shown() if self._snapshots else []
        return {"enabled": self._snapshots is not None, "partitions": [asdict(one) for one in shown]}

    def request_snapshot(self, partition: int) -> dict[str, Any] | None:
        """Ask for a snapshot of a partition; None where this worker does not own it, or makes none."""
        shown = self._snapshots.request(partition) if self._snapshots else None
        return asdict(shown) if shown else None

    async def pool_page(self, partition: int, after: int | None) -> dict[str, Any]:
        """Digests of the next resident users of a partition, of one moment of the ingest thread."""
        work = partial(memory_check.pool_page, self.plane, partition, after)
        return await asyncio.wrap_future(self.plane.ingest.call(work))

    async def vector_tables(self) -> dict[str, Any]:
        """Digests of the vector tables, of one moment of the items thread."""
        work = partial(memory_check.vector_tables, self.plane)
        return await asyncio.wrap_future(self.plane.items.call(work))
