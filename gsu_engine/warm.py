"""Have every kernel compiled before the first request: seconds when the cache on disk is empty, else well under one."""

import logging
import time

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.contract import Backend, SearchBatch
from muse_stream.gsu_engine.engine import GsuEngine
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.kernels.jit import CACHE_DIRECTORY
from muse_stream.gsu_engine.table import VectorTable

LOG = logging.getLogger(__name__)


class _Source:
    """One behaviour."""

    def items(self, user: int) -> tuple[int, I64]:
        """The user's id is the item's."""
        return 0, np.array([user], np.int64)


def warm_up(backend: str | Backend = "auto") -> float:
    """Run every kernel once on a throwaway engine; returns the seconds it took.

    Raises:
        BackendError: The backend cannot run here.

    """
    began = time.perf_counter()
    if not CACHE_DIRECTORY.is_dir():
        LOG.info("compiling the search kernels for this CPU: about 20 seconds, once; kept in %s", CACHE_DIRECTORY)
    one = np.array([1], np.int64)
    table = VectorTable("warm-up", 64, ItemIndex(max_items=8), budget_bytes=1 << 12)
    engine = GsuEngine(table, pool_bytes=1 << 14, cap=4, backend=backend)
    engine.put_vectors(one, np.ones((1, 64), np.int8))
    engine.prefetch(1, _Source())
    engine.append(one, one, np.array([0, 1]), one)
    vectors, norms = table.lookup(one)
    for allowed in (None, [np.ones(2, np.bool_)]):
        batch = SearchBatch(one, np.array([0]), np.array([2]), np.array([0, 1]), vectors, norms, allowed)
        engine.search(batch, 1, 1, _Source())
    engine.drop(one)
    engine.forget_vectors(one)
    table.index.reclaim()
    return time.perf_counter() - began
