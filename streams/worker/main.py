"""`run`: one worker until SIGTERM or SIGINT."""

import asyncio
import logging
import time
from typing import Any

import faust

from muse_stream.monitoring.logs import configure
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker import faust_app
from muse_stream.streams.worker.http import add_routes
from muse_stream.streams.worker.observing import SummaryLog
from muse_stream.streams.worker.service import WorkerService
from muse_stream.streams.worker.warm_up import warm_up

log = logging.getLogger(__name__)

OPEN_REQUESTS_MAX = 4_000
"""Requests taken from Faust and not yet answered; above it Faust's own buffer, then Kafka, holds them back."""


class Requests:
    """Takes events from Faust, has them answered, sends the answer and only then acknowledges."""

    def __init__(self, app: faust.App, service: WorkerService, topic: str) -> None:
        self._app, self._service, self._topic = app, service, topic
        self._places = asyncio.Semaphore(OPEN_REQUESTS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, event: Any) -> None:  # noqa: ANN401 - Faust's event
        """Begin to answer one event; waits while too many are open."""
        await self._places.acquire()
        task = asyncio.get_running_loop().create_task(self._answer(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: Any) -> None:  # noqa: ANN401
        message = event.message
        try:
            reply = await self._service.answer(message.key, message.value, message.partition, message.timestamp * 1e3)
            if reply is None:
                return
            began = time.perf_counter()
            await self._app.producer.send_and_wait(
                self._topic, message.key, reply.body, partition=None, timestamp=None, headers=None
            )
            event.ack()
            self._service.answered(reply, time.perf_counter() - began)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("an answer could not be sent; the request stays unacknowledged and is answered again later")
        finally:
            self._places.release()


class _Life(faust.Service):
    """Starts and stops the worker's service with Faust's own life."""

    service: WorkerService

    async def on_start(self) -> None:
        """Begin to read and compute."""
        self.service.start()

    async def on_stop(self) -> None:
        """Drain and close."""
        self.service.drain()
        await self.service.stop()


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT.

    Raises:
        StreamsError: The brokers cannot be reached, or what they hold is not what the settings say.
        EsuError: The model cannot be used.
        StateError: A store cannot be used.
        SystemExit: At the end, with Faust's exit code.

    """
    configure(settings.monitoring.log_format, settings.monitoring.log_level)
    settings.state.directory.mkdir(parents=True, exist_ok=True)
    service = WorkerService(settings)
    space = service.plane.space
    warm_up(settings.engine.backend, settings.engine.threads or None, settings.items.spaces[space], settings.serving.k)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust_app.create_app(settings)
    topics = settings.topics
    service.owner_of = lambda partition: faust_app.owner_url(app, topics.requests, partition)
    faust_app.follow_assignment(app, topics.requests, service.copies)
    faust_app.handle_requests(app, topics.requests, Requests(app, service, topics.scores).take)
    web: Any = app.web  # Faust's aiohttp driver; its protocol does not name the aiohttp application
    add_routes(web.web_app, service)
    if settings.monitoring.summary_interval_seconds:
        app.timer(settings.monitoring.summary_interval_seconds)(SummaryLog(service.metrics_registry).write)
    life = type("Life", (_Life,), {"service": service})
    app.service(life)
    worker = faust.Worker(app, loglevel=None, redirect_stdouts=False, quiet=True, override_logging=False, loop=loop)
    worker.execute_from_commandline()
