"""Metrics of what a worker holds: stores, vector tables, resident histories, models.

Invariant: nothing is counted here; everything is read when Prometheus asks, from readings that the owners give.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors
from muse_stream.monitoring.readings import ModelReading, StoreReading
from muse_stream.monitoring.shapes import EngineReading

_STORE = (c.STORE_USERS, c.STORE_BEHAVIOURS, c.STORE_BYTES, c.STORE_OPEN, c.ITEMS_STORED, c.ITEMS_OFFSET)
_TABLE = (c.TABLE_ROWS, c.TABLE_BYTES, c.TABLE_REFUSED)
_POOL = (c.POOL_USERS, c.POOL_BEHAVIOURS, c.POOL_BYTES, c.POOL_BUDGET, c.POOL_EVICTIONS, c.POOL_HITS, c.POOL_MISSES)
_INDEX = (c.INDEX_ITEMS, c.INDEX_BYTES, c.INDEX_REFUSED)
_SEARCH = (c.SEARCHES, c.SEARCH_CANDIDATES, c.SEARCH_SECONDS, c.LOAD_SECONDS)


def watch_stores(registry: CollectorRegistry, read: Callable[[], StoreReading], errors: ScrapeErrors) -> None:
    """Export the size of the stores."""
    Scraped(registry, "stores", _STORE, lambda: _store_samples(read()), errors)


def watch_engines(
    registry: CollectorRegistry, read: Callable[[], Sequence[EngineReading]], errors: ScrapeErrors
) -> None:
    """Export the engines' stats, one engine per vector space; pools and searches are added up."""
    definitions = (c.ENGINE_INFO, *_TABLE, *_INDEX, *_POOL, *_SEARCH)
    Scraped(registry, "engines", definitions, lambda: engine_samples(read()), errors)


def watch_models(registry: CollectorRegistry, read: Callable[[], Sequence[ModelReading]], errors: ScrapeErrors) -> None:
    """Export which models run."""
    Scraped(registry, "models", (c.MODEL_INFO, c.MODEL_LOADED), lambda: _model_samples(read()), errors)


def _store_samples(reading: StoreReading) -> Iterator[Sample]:
    yield c.STORE_USERS, (), reading.users
    yield c.STORE_BEHAVIOURS, (), reading.behaviours
    yield c.STORE_OPEN, (), reading.partitions_open
    yield c.ITEMS_STORED, (), reading.items
    yield c.ITEMS_OFFSET, (), reading.items_offset
    for kind in c.STORE_KINDS:
        if kind in reading.bytes:
            yield c.STORE_BYTES, (kind,), reading.bytes[kind]


def engine_samples(readings: Sequence[EngineReading]) -> Iterator[Sample]:
    """Turn the engines' stats into samples; the item index is one, shared by all of them."""
    for backend in sorted({reading.backend for reading in readings}):
        yield c.ENGINE_INFO, (backend,), 1
    for reading in readings:
        table = reading.table
        yield c.TABLE_ROWS, (table.space,), table.rows
        yield c.TABLE_BYTES, (table.space,), table.bytes
        yield c.TABLE_REFUSED, (table.space,), table.refused
    if readings:
        index = readings[0].index
        yield c.INDEX_ITEMS, (), index.items
        yield c.INDEX_BYTES, (), index.bytes
        yield c.INDEX_REFUSED, (), index.refused
    pools = [reading.pool for reading in readings]
    yield c.POOL_USERS, (), sum(pool.users for pool in pools)
    yield c.POOL_BEHAVIOURS, (), sum(pool.behaviours for pool in pools)
    yield c.POOL_BYTES, (), sum(pool.bytes for pool in pools)
    yield c.POOL_BUDGET, (), sum(pool.budget_bytes for pool in pools)
    yield c.POOL_EVICTIONS, (), sum(pool.evictions for pool in pools)
    yield c.POOL_HITS, (), sum(reading.hits for reading in readings)
    yield c.POOL_MISSES, (), sum(reading.misses for reading in readings)
    yield c.SEARCHES, (), sum(reading.searches for reading in readings)
    yield c.SEARCH_CANDIDATES, (), sum(reading.candidates for reading in readings)
    yield c.SEARCH_SECONDS, (), sum(reading.search_seconds for reading in readings)
    yield c.LOAD_SECONDS, (), sum(reading.load_seconds for reading in readings)


def _model_samples(readings: Sequence[ModelReading]) -> Iterator[Sample]:
    for reading in readings:
        yield c.MODEL_INFO, (reading.slot, reading.version, reading.digest), 1
        yield c.MODEL_LOADED, (reading.slot,), reading.loaded_at_seconds
