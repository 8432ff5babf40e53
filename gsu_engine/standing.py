"""Standing answers of one user: see `kernels.standing`.

Invariant: what stands equals a fresh search over the same window, to the bit. Answers live with the user's packed copy:
they follow its rows, and go with it, or when a vector in it changes.
"""

import threading
from collections.abc import Callable

import numpy as np

from muse_stream.gsu_engine.arrays import I64, Flags, reserve
from muse_stream.gsu_engine.contract import SearchResult
from muse_stream.gsu_engine.kernels import hashing, standing
from muse_stream.gsu_engine.kernels.blocks import Arena, Query
from muse_stream.gsu_engine.kernels.standing import Answers, Window

CANDIDATES = 8_192  # of one user; when more have been asked for, their answers start again from none
BUCKETS = CANDIDATES * 10 // hashing.FULL_OF_TEN + 1
SPARE = 2  # keys listed after a refill, in K: half of them may leave the window before the next one


class Standing:
    """The answers of one user. Its lock guards everything in it.

    Attributes:
        k: Keys listed per candidate.

    """

    def __init__(self, dimension: int, k: int, tally: Callable[[I64], None]) -> None:
        """Prepare; `tally` is told what was served, rows scored and refills, after each search."""
        self.k, self._tally = k, tally
        self.lock = threading.Lock()
        counters = np.zeros(hashing.COUNTERS, np.int64)
        counters[hashing.NEXT] = 1
        counters[hashing.SEED] = np.random.default_rng().integers(-(2**63), 2**63 - 1)  # vectors can be anyone's
        size = CANDIDATES + 1
        self.answers = Answers(
            ids=reserve((size,), np.int64),
            tags=np.zeros(BUCKETS, np.uint8),
            numbers=np.zeros(BUCKETS, np.uint32),
            counters=counters,
            vectors=reserve((size, dimension), np.int8),
            inv_norms=reserve((size,), np.float32),
            excluded=reserve((size,), np.uint32),
            keys=reserve((size, self.k), np.uint64),
            counts=reserve((size,), np.int64),
            floors=reserve((size,), np.uint64),
            oldest=reserve((size,), np.int64),
            starts=reserve((size,), np.int64),
            stops=reserve((size,), np.int64),
        )
        self._fixed_bytes = self.answers.tags.nbytes + self.answers.numbers.nbytes
        self._candidate_bytes = dimension + 8 * self.k + 8 + 2 * 4 + 5 * 8

    def __len__(self) -> int:
        return int(self.answers.counters[hashing.COUNT])

    @property
    def bytes(self) -> int:
        """Bytes in use."""
        return self._fixed_bytes + len(self) * self._candidate_bytes

    def serve(  # noqa: PLR0917 - what the kernel takes
        self, query: Query, arena: Arena, pair: int, window: Window, stood: Flags, result: SearchResult
    ) -> int:
        """Write the answers that stand, and say of which candidates in `stood`; returns how many need a refill."""
        tallies: I64 = np.zeros(standing.TALLIES, np.int64)
        k = result.scores.shape[1]
        out = result.scores, result.positions, result.count
        with self.lock:
            standing.serve(self.answers, query, arena, pair, window, k, stood, *out, tallies)
        self._tally(tallies)
        return int(tallies[standing.REFILLS])

    def keep(self, query: Query, found: SearchResult, rows: slice, window: Window) -> None:
        """Let these answers of a search stand; where there is no room for them, nothing does."""
        asked = query.vectors[rows], query.candidate_inv_norms[rows], query.excluded[rows]
        answered = found.scores[rows], found.positions[rows], found.count[rows]
        with self.lock:
            if not standing.keep(self.answers, *asked, window, *answered):
                self.clear()

    def clear(self) -> None:
        """Nothing stands any more; inside the lock."""
        self.answers.tags[:] = 0
        self.answers.stops[:] = 0
        self.answers.counters[hashing.COUNT] = 0
        self.answers.counters[hashing.NEXT] = 1
        self.answers.counters[hashing.FREE] = 0
