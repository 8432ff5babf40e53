"""Metrics of a process that computes served answers again and compares.

Invariant: one registry per object; every series exists from the start.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors, counter, counters


@dataclass(frozen=True, slots=True)
class VerificationReading:
    """Where the verification stands.

    Attributes:
        waiting: Answers that wait.
        oldest_seconds: For how long the first of them has.
        lags: Offsets not read yet, by `catalogue.VERIFIED_TOPICS`.

    """

    waiting: int
    oldest_seconds: float
    lags: Mapping[str, int]


class VerificationMetrics:
    """Counters to count with, one page to export.

    Args:
        reasons: All reasons why an answer cannot be computed again.
        read: Asked at each scrape.

    """

    def __init__(self, *, reasons: Iterable[str], read: Callable[[], VerificationReading]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._compared = counters(self.registry, c.VERIFY_COMPARED, c.VERIFIED)
        self._mismatched = counters(self.registry, c.VERIFY_MISMATCHED, c.VERIFIED)
        self._left_out = counters(self.registry, c.VERIFY_LEFT_OUT, map(str, reasons))
        self._near_step = counter(self.registry, c.VERIFY_NEAR_STEP)
        self._no_model = counter(self.registry, c.VERIFY_MODEL)
        gauges = (c.VERIFY_WAITING, c.VERIFY_OLDEST, c.VERIFY_LAG)
        Scraped(self.registry, "verification", gauges, lambda: _samples(read()), ScrapeErrors(self.registry))

    def compared(self, parts: Iterable[str], mismatched: Iterable[str], *, near_step: int, no_model: bool) -> None:
        """Count one answer: parts of `catalogue.VERIFIED` that were compared, and those that differ."""
        for part in parts:
            self._compared[part,].inc()
        for part in mismatched:
            self._mismatched[part,].inc()
        self._near_step.inc(near_step)
        self._no_model.inc(no_model)

    def left_out(self, reason: str) -> None:
        """Count an answer that could not be computed again."""
        self._left_out[str(reason),].inc()

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Export on a port, in a thread; returns what ends that. Raises OSError: the port is taken."""
        server, thread = start_http_server(port, host, self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


def _samples(reading: VerificationReading) -> Iterator[Sample]:
    yield c.VERIFY_WAITING, (), reading.waiting
    yield c.VERIFY_OLDEST, (), reading.oldest_seconds
    for topic in c.VERIFIED_TOPICS:
        yield c.VERIFY_LAG, (topic,), reading.lags.get(topic, 0)
