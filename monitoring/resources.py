"""Metrics of what a worker holds: stores, vector tables, resident histories, models.

Invariant: nothing is counted here; everything is read when Prometheus asks, from readings that the owners give.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors
from muse_stream.monitoring.readings import DiskReading, ModelReading, SnapshotReading, StoreReading
from muse_stream.monitoring.shapes import DeviceReading, EngineReading, StoreStats

_STORE_WORK = (c.STORE_APPENDED, c.STORE_WRITTEN, c.STORE_MERGES, c.STORE_COLD, c.STORE_TRUNCATED)
_STORE_COUNTERS = (*_STORE_WORK, c.STORE_WRITE_SECONDS, c.STORE_STALL, c.STORE_ERRORS)
_STORE_STATE = (c.STORE_OPEN, c.STORE_BYTES, c.STORE_WINDOW, c.STORE_DELAYED, c.STORE_PENDING, c.STORE_CACHE)
_STORE = (*_STORE_STATE, *_STORE_COUNTERS, c.ITEMS_OFFSET)
_TABLE = (c.TABLE_ROWS, c.TABLE_BYTES, c.TABLE_REFUSED)
_POOL = (c.POOL_USERS, c.POOL_BEHAVIOURS, c.POOL_BYTES, c.POOL_BUDGET, c.POOL_EVICTIONS, c.POOL_HITS, c.POOL_MISSES)
_INDEX = (c.INDEX_ITEMS, c.INDEX_BYTES, c.INDEX_REFUSED)
_PACKED = (c.PACKED_USERS, c.PACKED_BYTES, c.PACKED_BUDGET, c.PACKED_EVICTIONS, c.PACKED_HITS, c.PACKED_MISSES)
_STANDING = (c.STANDING_ANSWERS, c.STANDING_SERVED, c.STANDING_ROWS, c.STANDING_REFILLS)
_GPU_WORK = (c.GPU_LOST, c.GPU_SEARCHES, c.GPU_ANSWERED, c.GPU_ELSEWHERE, c.GPU_WAIT)
_GPU = (*_GPU_WORK, c.GPU_USERS, c.GPU_BEHAVIOURS, c.GPU_BYTES, c.GPU_BUDGET, c.GPU_EVICTIONS, c.GPU_TABLE)
_SEARCH = (c.SEARCHES, c.SEARCH_CANDIDATES, c.SEARCH_SECONDS, c.LOAD_SECONDS)

_SNAPSHOT_COUNTERS = (c.SNAPSHOT_WRITTEN, c.SNAPSHOT_FAILURES, c.SNAPSHOT_SENT, c.SNAPSHOT_SECONDS)
_SNAPSHOT = (c.SNAPSHOT_AGE, c.SNAPSHOT_OFFSET, *_SNAPSHOT_COUNTERS)


def watch_stores(registry: CollectorRegistry, read: Callable[[], StoreReading], errors: ScrapeErrors) -> None:
    """Export size and work of the stores."""
    sums = _Sums()
    Scraped(registry, "stores", _STORE, lambda: _store_samples(read(), sums), errors)


def watch_disk(registry: CollectorRegistry, read: Callable[[], DiskReading], errors: ScrapeErrors) -> None:
    """Export how much room there is."""

    def samples() -> Iterator[Sample]:
        found = read()
        yield c.DISK_FREE, (), found.free_bytes
        yield c.DISK_SIZE, (), found.size_bytes

    Scraped(registry, "disk", (c.DISK_FREE, c.DISK_SIZE), samples, errors)


def watch_engines(
    registry: CollectorRegistry, read: Callable[[], Sequence[EngineReading]], errors: ScrapeErrors
) -> None:
    """Export the engines' stats, one engine per vector space; pools and searches are added up.

    Engines come and go with the spaces that are served: one that is closed takes nothing away from what was counted.
    """
    gone = _GoneEngines()
    definitions = (c.ENGINE_INFO, *_TABLE, *_INDEX, *_POOL, *_PACKED, *_STANDING, *_SEARCH, *_GPU)
    Scraped(registry, "engines", definitions, lambda: gone.add(read()), errors)


def watch_models(registry: CollectorRegistry, read: Callable[[], Sequence[ModelReading]], errors: ScrapeErrors) -> None:
    """Export which models run."""
    Scraped(registry, "models", (c.MODEL_INFO, c.MODEL_LOADED), lambda: _model_samples(read()), errors)


def watch_snapshots(registry: CollectorRegistry, read: Callable[[], SnapshotReading], errors: ScrapeErrors) -> None:
    """Export how old snapshots are and what they cost."""
    Scraped(registry, "snapshots", _SNAPSHOT, lambda: _snapshot_samples(read()), errors)


class _Sums:
    """Adds up counters of stores that come and go: a store that closes, or opens anew, takes nothing away."""

    def __init__(self) -> None:
        self._gone = [0.0] * len(_STORE_COUNTERS)
        self._last: Mapping[int, tuple[float, ...]] = {}

    def add(self, stores: Mapping[int, StoreStats]) -> list[float]:
        now = {number: _counted_by(store) for number, store in stores.items()}
        for number, before in self._last.items():
            if number not in now or any(count < old for count, old in zip(now[number], before, strict=True)):
                self._gone = [old + count for old, count in zip(self._gone, before, strict=True)]
        self._last = now
        return [sum(counts) for counts in zip(self._gone, *now.values(), strict=True)]


def _counted_by(store: StoreStats) -> tuple[float, ...]:
    work = (store.behaviours, store.put_bytes, store.merges, store.cold_tails, store.truncated)
    condition = store.condition
    return (*work, condition.write_seconds, condition.stall_seconds, condition.background_errors)


class _GoneEngines:
    """Keeps what engines had counted when they were last read."""

    def __init__(self) -> None:
        self._gone: dict[tuple[str, tuple[str, ...]], float] = {}
        self._last: dict[str, list[Sample]] = {}

    def add(self, readings: Sequence[EngineReading]) -> Iterator[Sample]:
        now = {reading.table.space: _counted(reading) for reading in readings}
        for space, before in self._last.items():
            if space not in now or any(new[2] < old[2] for new, old in zip(now[space], before, strict=True)):
                for definition, labels, count in before:
                    key = definition.name, labels
                    self._gone[key] = self._gone.get(key, 0.0) + count
        self._last = now
        for definition, labels, value in engine_samples(readings):
            yield definition, labels, value + self._gone.get((definition.name, labels), 0.0)


def _counted(reading: EngineReading) -> list[Sample]:
    """What an engine counts itself; the table and the index outlive it."""
    outliving = {c.TABLE_REFUSED.name, c.INDEX_REFUSED.name}
    return [one for one in engine_samples([reading]) if one[0].kind == "counter" and one[0].name not in outliving]


def _store_samples(reading: StoreReading, sums: _Sums) -> Iterator[Sample]:
    stores = reading.stores.values()
    yield c.STORE_OPEN, (), len(stores)
    yield c.STORE_BYTES, ("behaviours",), sum(store.disk_bytes for store in stores)
    yield c.STORE_BYTES, ("memtable",), sum(store.memtable_bytes for store in stores)
    yield c.STORE_BYTES, ("items",), reading.items.disk_bytes if reading.items else 0
    for definition, total in zip(_STORE_COUNTERS, sums.add(reading.stores), strict=True):
        yield definition, (), total
    yield c.STORE_WINDOW, (), sum(store.window for store in stores)
    yield c.STORE_DELAYED, (), sum(store.condition.delayed for store in stores)
    yield c.STORE_PENDING, (), sum(store.condition.pending_compaction_bytes for store in stores)
    yield c.STORE_CACHE, (), reading.cache_bytes
    yield c.ITEMS_OFFSET, (), reading.items.position if reading.items else 0


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
    packed = [reading.packed for reading in readings if reading.packed]
    yield c.PACKED_USERS, (), sum(one.users for one in packed)
    yield c.PACKED_BYTES, (), sum(one.bytes for one in packed)
    yield c.PACKED_BUDGET, (), sum(one.budget_bytes for one in packed)
    yield c.PACKED_EVICTIONS, (), sum(one.evictions for one in packed)
    yield c.PACKED_HITS, (), sum(one.hits for one in packed)
    yield c.PACKED_MISSES, (), sum(one.misses for one in packed)
    yield c.STANDING_ANSWERS, (), sum(one.answers for one in packed)
    yield c.STANDING_SERVED, (), sum(one.served for one in packed)
    yield c.STANDING_ROWS, (), sum(one.rows_scored for one in packed)
    yield c.STANDING_REFILLS, (), sum(one.refills for one in packed)
    yield c.SEARCHES, (), sum(reading.searches for reading in readings)
    yield c.SEARCH_CANDIDATES, (), sum(reading.candidates for reading in readings)
    yield c.SEARCH_SECONDS, (), sum(reading.search_seconds for reading in readings)
    yield c.LOAD_SECONDS, (), sum(reading.load_seconds for reading in readings)
    yield from _gpu_samples([reading.device for reading in readings if reading.device])


def _gpu_samples(devices: Sequence[DeviceReading]) -> Iterator[Sample]:
    """All zero where there is none."""
    yield c.GPU_LOST, (), sum(device.lost is not None for device in devices)
    yield c.GPU_SEARCHES, (), sum(device.searches for device in devices)
    yield c.GPU_ANSWERED, (), sum(device.answered for device in devices)
    for reason in c.ELSEWHERE:
        yield c.GPU_ELSEWHERE, (reason,), sum(device.elsewhere.get(reason, 0) for device in devices)
    yield c.GPU_WAIT, (), sum(device.wait_seconds for device in devices)
    histories = [device.histories for device in devices]
    yield c.GPU_USERS, (), sum(one.users for one in histories)
    yield c.GPU_BEHAVIOURS, (), sum(one.behaviours for one in histories)
    yield c.GPU_BYTES, (), sum(one.bytes for one in histories)
    yield c.GPU_BUDGET, (), sum(one.budget_bytes for one in histories)
    yield c.GPU_EVICTIONS, (), sum(one.evictions for one in histories)
    yield c.GPU_TABLE, (), sum(device.vector_bytes for device in devices)


def _snapshot_samples(reading: SnapshotReading) -> Iterator[Sample]:
    yield c.SNAPSHOT_AGE, (), reading.age_seconds
    for partition, position in sorted(reading.positions.items()):
        yield c.SNAPSHOT_OFFSET, (str(partition),), position
    totals = (reading.written, reading.failures, reading.sent_bytes, reading.seconds)
    for definition, total in zip(_SNAPSHOT_COUNTERS, totals, strict=True):
        yield definition, (), total


def _model_samples(readings: Sequence[ModelReading]) -> Iterator[Sample]:
    for reading in readings:
        yield c.MODEL_INFO, (reading.slot, reading.version, reading.digest), 1
        yield c.MODEL_LOADED, (reading.slot,), reading.loaded_at_seconds
