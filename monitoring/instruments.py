"""Counters and gauges made from the catalogue, and values that are read when Prometheus asks.

Invariant: every series of a closed label set exists from the start, so that absent never has to be told from zero; a
reading that fails costs its own metrics, never the scrape.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from muse_stream.monitoring.catalogue import SCRAPE_ERRORS, Definition

Sample = tuple[Definition, tuple[str, ...], float]
"""Definition, label values in the definition's order, value."""

_log = logging.getLogger(__name__)


def counter(registry: CollectorRegistry, definition: Definition) -> Counter:
    """Make a counter without labels."""
    return Counter(definition.name, definition.help, registry=registry)


def counters(
    registry: CollectorRegistry, definition: Definition, *values: Iterable[str]
) -> Mapping[tuple[str, ...], Counter]:
    """Make a counter and bind a child per combination of label values, one set of values per label."""
    family = Counter(definition.name, definition.help, definition.labels, registry=registry)
    return {labels: family.labels(*labels) for labels in product(*values)}


class ScrapeErrors:
    """Counts readings that failed, by reader."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._family = Counter(SCRAPE_ERRORS.name, SCRAPE_ERRORS.help, SCRAPE_ERRORS.labels, registry=registry)

    def expect(self, reader: str) -> None:
        """Make the reader's series, at 0."""
        self._family.labels(reader)

    def failed(self, reader: str) -> None:
        """Count and log the exception that is being handled."""
        self._family.labels(reader).inc()
        _log.warning("reading %s for /metrics failed; its metrics are absent from this scrape", reader, exc_info=True)


class Scraped(Collector):
    """Metrics whose values are computed when scraped.

    Args:
        registry: Where they are exported.
        reader: Short name for the error counter.
        definitions: The families, in the order of export.
        read: Returns the samples of now; called once per scrape, by one scraping thread at a time.
        errors: Where a failure is counted.

    """

    def __init__(
        self,
        registry: CollectorRegistry,
        reader: str,
        definitions: Sequence[Definition],
        read: Callable[[], Iterable[Sample]],
        errors: ScrapeErrors,
    ) -> None:
        self._reader = reader
        self._definitions = definitions
        self._read = read
        self._errors = errors
        self._lock = threading.Lock()
        errors.expect(reader)
        registry.register(self)

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Name the families without reading them."""
        return iter([_family(definition) for definition in self._definitions])

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Return the families with their samples as of now; none if the reading fails."""
        families = {definition.name: _family(definition) for definition in self._definitions}
        try:
            with self._lock:
                samples = list(self._read())
        except Exception:
            self._errors.failed(self._reader)
            return
        for definition, labels, value in samples:
            families[definition.name].add_metric(labels, value)
        yield from families.values()


def _family(definition: Definition) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    return kind(definition.name, definition.help, labels=definition.labels)
