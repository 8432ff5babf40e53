"""`run`: one worker until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import sys
from typing import Any

import faust

from muse_stream.monitoring.journal import Journal
from muse_stream.monitoring.logs import LineHandler, configure
from muse_stream.monitoring.repeats import INTERVAL_SECONDS
from muse_stream.monitoring.trends import STEP_SECONDS
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker import faust_app
from muse_stream.streams.worker.canary import Bounds, Canary
from muse_stream.streams.worker.draining import Drain, DrainingWorker, stop_listening
from muse_stream.streams.worker.http import add_routes
from muse_stream.streams.worker.observing import SettledLog, SummaryLog
from muse_stream.streams.worker.pace import measure
from muse_stream.streams.worker.request_backlog import RequestBacklog
from muse_stream.streams.worker.requests import Requests
from muse_stream.streams.worker.service import WorkerService
from muse_stream.streams.worker.status import Members
from muse_stream.streams.worker.warm_up import warm_up
from muse_stream.streams.worker.watchdog import Watchdog

log = logging.getLogger(__name__)

CHATTY_LIBRARIES = ("kafka", "aiokafka", "faust", "mode", "numba")
"""Below WARNING they fill the log, and kafka-python's DEBUG may show its options, the password among them."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter from others that want it. The event loop gives it up at every read and write
of a socket and, while a pass runs, waits so long to have it back; with Python's own 5 ms, requests with next to nothing
to compute were answered at two thirds of the rate (`muse-stream bench burst`)."""


class _Life(faust.Service):
    """Starts and stops the worker's service with Faust's own life."""

    service: WorkerService
    watchdog: Watchdog
    canary: Canary | None

    async def on_start(self) -> None:
        """Begin to read and compute."""
        self.service.start()
        self.watchdog.start()
        if self.canary:
            self.canary.start()

    async def on_stop(self) -> None:
        """Close; what was taken has been answered before, see `draining`."""
        if self.canary:
            self.canary.close()
        self.watchdog.close()
        await self.service.stop()


def _watchdog(settings: Settings, service: WorkerService, requests: Requests) -> Watchdog:
    kafka, name = settings.kafka, f"{settings.app.name}-watchdog"
    options = ConsumerOptions(kafka.brokers, security=kafka.security, client_id=name)
    backlog = RequestBacklog(
        settings.topics.requests,
        settings.app.name,
        lambda: ClusterFacts(kafka.brokers, kafka.security, client_id=name),
        lambda: make_consumer("kafka-python", options),
        Clock(),
    )
    return Watchdog(
        backlog,
        requests.moved,
        lambda: [*service.plane.ingest.states().values(), service.plane.items.state()],
        seconds=settings.app.stuck_seconds,
        on_stuck=settings.app.on_stuck,
    )


def _drain(
    settings: Settings, app: faust.App, service: WorkerService, requests: Requests, canary: Canary | None
) -> Drain:
    def refuse() -> None:
        if canary:
            canary.close()
        service.drain()
        requests.drain()

    return Drain(refuse, stop_listening(app), lambda: service.posts + requests.open, settings.app.drain_seconds)


def _canary(settings: Settings, service: WorkerService, app: faust.App) -> Canary | None:
    """None where the settings turn it off."""
    wanted = settings.canary
    if not wanted.interval_seconds:
        return None
    bounds = Bounds(wanted.interval_seconds, wanted.timeout_seconds)
    send = faust_app.sender(app)
    canary = Canary(send, settings.topics, service.canaries, service.plane, service.copies.ready, bounds)
    service.canary_answered = canary.answered
    faust_app.follow_assignment(app, settings.topics.requests, canary)
    return canary


def _logging(settings: Settings) -> tuple[LineHandler, Journal]:
    """What writes the lines, and what keeps the last warnings."""
    lines = configure(settings.monitoring.log_format, settings.monitoring.log_level)
    journal = Journal()
    logging.getLogger().addHandler(journal)
    for library in CHATTY_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    return lines, journal


def _warm(settings: Settings, service: WorkerService) -> None:
    """Compile and run what requests will need, and measure it where a model answers."""
    engine, space = service.plane.engine.stats(), service.plane.space
    log.info("searches run on %s: %s", engine.backend, engine.why)
    searches = (
        settings.engine.backend,
        settings.engine.threads or None,
        settings.items.spaces[space],
        settings.serving.k,
    )
    warm_up(*searches)
    if service.plane.live.model is not None:
        measure(service.desk.costs, service.plane.live.model, searches)


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT.

    Raises:
        StreamsError: The brokers cannot be reached, or what they hold is not what the settings say.
        EsuError: The model cannot be used.
        StateError: A store cannot be used.
        SystemExit: At the end, with Faust's exit code.

    """
    sys.setswitchinterval(SWITCH_SECONDS)
    lines, journal = _logging(settings)
    settings.state.directory.mkdir(parents=True, exist_ok=True)
    service = WorkerService(settings, journal)
    service.metrics_registry.watch_logs(lines.reading)
    _warm(settings, service)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust_app.create_app(settings)
    topics = settings.topics
    service.owner_of = lambda partition: faust_app.owner_url(app, topics.requests, partition)
    service.page.members = lambda: Members(faust_app.own_url(app), faust_app.owned_by(app, topics.requests))
    faust_app.follow_assignment(app, topics.requests, service.copies)
    requests = Requests(faust_app.sender(app), service, topics.scores, lambda: app.consumer_generation_id)
    faust_app.follow_assignment(app, topics.requests, requests)
    faust_app.handle_requests(app, topics.requests, requests.take)
    watchdog = _watchdog(settings, service, requests)
    faust_app.follow_assignment(app, topics.requests, watchdog)
    service.watched_by(watchdog)
    canary = _canary(settings, service, app)
    web: Any = app.web  # Faust's aiohttp driver; its protocol does not name the aiohttp application
    add_routes(web.web_app, service)
    app.timer(STEP_SECONDS)(service.page.look)
    if settings.monitoring.summary_interval_seconds:
        app.timer(settings.monitoring.summary_interval_seconds)(SummaryLog(service.metrics_registry).write)
    app.timer(INTERVAL_SECONDS)(SettledLog(lines).settle)
    life = type("Life", (_Life,), {"service": service, "watchdog": watchdog, "canary": canary, "__module__": __name__})
    app.service(life)
    gc.collect()
    gc.freeze()  # what is here stays: 300 000 objects of libraries, which a full collection would visit for 0.15 s
    worker = DrainingWorker(app, loglevel=None, redirect_stdouts=False, quiet=True, override_logging=False, loop=loop)
    worker.drain = _drain(settings, app, service, requests, canary)
    worker.execute_from_commandline()
