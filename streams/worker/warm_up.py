"""Compiles or loads every kernel of the hot paths before the first behaviour and the first request need them.

A small log of made-up records goes through the real path in a directory of its own: decode, store, engine, search;
then one score. Numba keeps what it compiles on disk, so only a machine's first start takes long.
"""

import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from muse_stream.esu_scorer import Artefact, FeatureSpec, Scorer
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable, rehearse
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire import encode
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.behaviours import warm_up as warm_up_decoders
from muse_stream.streams.worker.model import warm_up_batch

log = logging.getLogger(__name__)

USERS, ROWS_PER_USER, ITEMS = 3, 400, 50
"""Enough rows per user for a merge of segments (256), and more rows than K, so that every branch is taken."""
WIDTH = 16
"""Of an embedding, as the released network has it."""
GPU_BYTES = 1 << 22
"""Histories on a GPU, beside those of the engine proper, which has taken what it wants by then."""
SLOW_SECONDS = 2.0
"""Longer than this means that kernels were compiled, which is worth a line in the log."""


def warm_up(backend: str, threads: int | None, dimension: int, k: int) -> float:
    """Run the path once; returns the seconds it took. Raises what a broken installation raises."""
    began = time.perf_counter()
    log.info("loading kernels (a machine's first start compiles them: up to a minute)")
    warm_up_decoders()
    batch = _decode()
    with tempfile.TemporaryDirectory(prefix="muse-stream-warm-up-") as directory:
        store = BehaviourStore.open(Path(directory), StoreIdentity("warm-up", "warm-up", 0, 1), Rules())
        try:
            rehearse(backend, threads, dimension, k)
            _retrieve(store, batch, _engine(backend, threads, dimension), k)
        finally:
            store.close()
    _score()
    seconds = time.perf_counter() - began
    if seconds > SLOW_SECONDS:
        log.info("kernels are ready after %.1f s", seconds)
    return seconds


def _score() -> None:
    """One candidate through the network's compiled form, which is the same for every model."""
    spec = FeatureSpec.of({"item": WIDTH, "category": WIDTH}, {})
    scorer = Scorer(Artefact.untrained(spec, {}, seed=1, space="warm-up"))
    scorer.score(warm_up_batch(scorer.info, 1))


def _engine(backend: str, threads: int | None, dimension: int) -> GsuEngine:
    return GsuEngine(_table(dimension), backend=backend, threads=threads, gpu_bytes=GPU_BYTES)


def _decode() -> BehaviourBatch:
    """The same behaviours as JSON records and erasures, through the wire's decoder."""
    rows = range(USERS * ROWS_PER_USER)
    pairs = [
        encode.encode_behaviour(1 + row % USERS, 1 + row % ITEMS, time_ms=1 + row, action=row % 6, event_id=str(row))
        for row in rows
    ]
    records = RecordBatch(
        topic="warm-up",
        partition=0,
        keys=[key for key, _ in pairs],
        values=[value for _, value in pairs],
        headers=[None] * len(pairs),
        offset=np.arange(len(pairs)),
        broker_time_ms=np.full(len(pairs), 10**12),
        next_offset=len(pairs),
    )
    batch, rejects = decode_behaviours(records, BehaviourRules(partition_count=1))
    if rejects:
        message = f"the warm-up's own records were rejected: {rejects[0]}"
        raise RuntimeError(message)
    return batch


def _table(dimension: int) -> VectorTable:
    table = VectorTable("warm-up", dimension, ItemIndex(max_items=1 << 12), budget_bytes=1 << 20)
    vectors = np.random.default_rng(0).integers(-127, 128, (ITEMS, dimension), np.int8)
    table.put(np.arange(1, ITEMS + 1), vectors)
    return table


class _Source:
    def __init__(self, store: BehaviourStore) -> None:
        self._store = store

    def items(self, user: int) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        history = self._store.sequence(user)
        return history.start, np.ascontiguousarray(history.rows["item"])


def _retrieve(store: BehaviourStore, batch: BehaviourBatch, engine: GsuEngine, k: int) -> None:
    half = len(batch) // 2
    for start, stop in ((0, half), (half, len(batch))):
        appended = store.append(batch.rows(start, stop), position=stop)
        items = np.ascontiguousarray(appended.behaviours["item"])
        engine.append(appended.users, appended.starts, appended.bounds, items)
        _search(store, engine, k)
    engine.drop(np.array([1], np.int64))


def _search(store: BehaviourStore, engine: GsuEngine, k: int) -> None:
    users = np.arange(1, USERS + 1)
    histories = [store.sequence(int(user)) for user in users]
    candidates = np.tile(np.arange(1, ITEMS + 1), USERS)
    vectors, inv_norms = engine.table.lookup(candidates)
    lengths = [len(history) for history in histories]
    allowed = [np.ones(length, np.bool_) if number else None for number, length in enumerate(lengths)]
    pairs = SearchBatch(
        users=users,
        starts=np.array([history.start for history in histories], np.int64),
        stops=np.array([history.stop for history in histories], np.int64),
        bounds=np.arange(0, len(candidates) + 1, ITEMS),
        vectors=vectors,
        inv_norms=inv_norms,
        allowed=allowed,
    )
    engine.search(pairs, k, k, _Source(store))
