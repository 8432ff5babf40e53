"""The search contract: what a caller asks, what it gets, and what a backend is given.

Invariant: an answer follows from the int8 rows, the windows and the candidates alone. Every backend returns the same
bits: scores, positions, counts and recent scores.

Vocabulary: a *pair* is one user with candidates of its own; P pairs, T candidates in all, K results each, R recent
scores each. Positions are the absolute sequence numbers that `state` gives a user's behaviours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U32, Flags, plain
from muse_stream.gsu_engine.columns import DeviceColumns
from muse_stream.gsu_engine.errors import BatchError
from muse_stream.gsu_engine.kernels import checks
from muse_stream.gsu_engine.kernels.forms import Form
from muse_stream.gsu_engine.kernels.packing import Packed

K_LIMIT = 1_000  # results per candidate: five times what the paper's K = 50 and our largest test use
RECENT_LIMIT = 1_000
SMALLEST = np.array([1e-4], np.float32)  # inverse norm: 1 / (128 sqrt(1 024)) is 2.4e-4
I64_TYPE, I8_TYPE, F32_TYPE = np.dtype(np.int64), np.dtype(np.int8), np.dtype(np.float32)
COLUMNS = ("starts", "stops", "bounds", "users", "vectors", "inv_norms", "excluded")
BROKEN = {
    checks.BOUNDS: "bounds must rise from 0 to the number of candidates",
    checks.WINDOWS: "a window must have 0 <= start <= stop",
    checks.NORMS: "inv_norms must be 1 / |vector| of an int8 vector, or 0 for a candidate without one",
}


class Wanted(NamedTuple):
    """What is asked of every candidate.

    Attributes:
        k: Results.
        recent: Recent scores.
        on_device: Whether scores stay on the device too, where one answers the whole batch.

    """

    k: int
    recent: int
    on_device: bool = False


@dataclass(frozen=True, slots=True)
class SearchBatch:
    """P pairs (user, candidates), ragged.

    Attributes:
        users: `[P] int64` user ids; a user may come more than once.
        starts: `[P] int64` first position of the window `[start, stop)`.
        stops: `[P] int64` end of the window, exclusive: the moment that the caller read from `state`.
        bounds: `[P+1] int64`; the candidates of pair p are rows `bounds[p]:bounds[p+1]`.
        vectors: `[T, d] int8` candidate vectors.
        inv_norms: `[T] float32`; 0 = the candidate has no vector: nothing is retrieved for it.
        allowed: Per pair None (all rows) or `[stop-start] bool`, or the same as bits, first row lowest
            (`np.packbits(..., bitorder="little")`, uint8). It limits what is retrieved, not the recent scores.
        excluded: `[T] int64` per candidate the id of an item that is not retrieved for it, 0 = none; None = none for
            all. It too limits what is retrieved, not the recent scores.

    """

    users: I64
    starts: I64
    stops: I64
    bounds: I64
    vectors: I8
    inv_norms: F32
    allowed: Sequence[NDArray[Any] | None] | None = None
    excluded: I64 | None = None

    def checked(self, dimension: int, k: int, recent: int) -> "SearchBatch":
        """The same batch in arrays that kernels are compiled for; raises BatchError where it breaks the contract."""
        pairs, candidates = len(self.users), len(self.vectors)
        shapes = (
            (self.starts, I64_TYPE, (pairs,)),
            (self.stops, I64_TYPE, (pairs,)),
            (self.bounds, I64_TYPE, (pairs + 1,)),
            (self.users, I64_TYPE, (pairs,)),
            (self.vectors, I8_TYPE, (candidates, dimension)),
            (self.inv_norms, F32_TYPE, (candidates,)),
            *(() if self.excluded is None else ((self.excluded, I64_TYPE, (candidates,)),)),
        )
        is_plain = True
        for number, (array, dtype, shape) in enumerate(shapes):
            if array.dtype != dtype or array.shape != shape:
                name = COLUMNS[number]
                message = f"{name} is {array.dtype}{list(array.shape)}, expected {dtype}{list(shape)}"
                raise BatchError(message)
            is_plain = is_plain and array.flags.carray
        _require(1 <= k <= K_LIMIT, f"k is {k}, expected 1..{K_LIMIT}")
        _require(0 <= recent <= RECENT_LIMIT, f"recent is {recent}, expected 0..{RECENT_LIMIT}")
        _require(self.allowed is None or len(self.allowed) == pairs, "allowed needs one entry per pair")
        batch = self if is_plain else self._plain()
        broken = checks.check(batch.starts, batch.stops, batch.bounds, batch.inv_norms, SMALLEST)
        if broken != checks.FINE:
            raise BatchError(BROKEN[broken])
        for pair, mask in enumerate(batch.allowed or ()):
            if mask is not None:
                _require_mask(pair, mask, int(batch.stops[pair] - batch.starts[pair]))
        return batch

    def candidates_of(self, pairs: Flags) -> I64:
        """Numbers of the candidates of the pairs flagged in `[P] bool`."""
        return np.flatnonzero(np.repeat(pairs, np.diff(self.bounds)))

    def only(self, pairs: Flags) -> "SearchBatch":
        """The pairs flagged in `[P] bool`, with their candidates."""
        if pairs.all():
            return self
        candidates = self.candidates_of(pairs)
        return SearchBatch(
            self.users[pairs],
            self.starts[pairs],
            self.stops[pairs],
            np.concatenate(([0], np.cumsum(np.diff(self.bounds)[pairs]))),
            self.vectors[candidates],
            self.inv_norms[candidates],
            None if self.allowed is None else [self.allowed[pair] for pair in np.flatnonzero(pairs).tolist()],
            None if self.excluded is None else self.excluded[candidates],
        )

    def _plain(self) -> "SearchBatch":
        return SearchBatch(
            plain(self.users, np.int64),
            plain(self.starts, np.int64),
            plain(self.stops, np.int64),
            plain(self.bounds, np.int64),
            plain(self.vectors, np.int8),
            plain(self.inv_norms, np.float32),
            self.allowed,
            None if self.excluded is None else plain(self.excluded, np.int64),
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BatchError(message)


def _require_mask(pair: int, mask: NDArray[Any], rows: int) -> None:
    forms = ((np.dtype(np.bool_), (rows,)), (np.dtype(np.uint8), ((rows + 7) // 8,)))
    found = f"allowed[{pair}] is {mask.dtype}{list(mask.shape)}"
    _require((mask.dtype, mask.shape) in forms, f"{found}, expected bool[{rows}] or uint8[{(rows + 7) // 8}]")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Per candidate the K best behaviours of its user's window, best first; equal scores: newest first.

    Attributes:
        scores: `[T, K] float32` cosines; 0 beyond `count`.
        positions: `[T, K] int64` absolute positions; -1 beyond `count`.
        count: `[T] int32` how many were found: fewer than K where the window has fewer rows with a vector.
        recent_scores: `[T, R] float32`; column j = position `stop-1-j`, newest first; 0 where not present.
        recent_present: `[T, R] bool`; False before `start`, or where item or candidate has no vector.
        device: Scores and recent scores on the device as well; None where that was not asked for, or the CPU answered
            some of the batch, or the device took it in several parts.

    """

    scores: F32
    positions: I64
    count: I32
    recent_scores: F32
    recent_present: Flags
    device: DeviceColumns | None = None

    @classmethod
    def room(cls, candidates: int, k: int, recent: int) -> "SearchResult":
        """For a backend that writes everything but the recent scores of absent rows."""
        return cls(
            np.empty((candidates, k), np.float32),
            np.empty((candidates, k), np.int64),
            np.empty(candidates, np.int32),
            np.zeros((candidates, recent), np.float32),
            np.zeros((candidates, recent), np.bool_),
        )

    def first(self, k: int) -> "SearchResult":
        """The same with the `k` best of each candidate."""
        if self.scores.shape[1] == k:
            return self
        return SearchResult(
            np.ascontiguousarray(self.scores[:, :k]),
            np.ascontiguousarray(self.positions[:, :k]),
            np.minimum(self.count, np.int32(k)),
            self.recent_scores,
            self.recent_present,
        )

    def put(self, candidates: I64, part: "SearchResult") -> None:
        """Set the answers of these candidates."""
        self.scores[candidates] = part.scores
        self.positions[candidates] = part.positions
        self.count[candidates] = part.count
        self.recent_scores[candidates] = part.recent_scores
        self.recent_present[candidates] = part.recent_present

    @classmethod
    def empty(cls, candidates: int, k: int, recent: int) -> "SearchResult":
        """Nothing found yet."""
        return cls(
            np.zeros((candidates, k), np.float32),
            np.full((candidates, k), -1, np.int64),
            np.zeros(candidates, np.int32),
            np.zeros((candidates, recent), np.float32),
            np.zeros((candidates, recent), np.bool_),
        )


class HistorySource(Protocol):
    """Where the engine loads a user from: the `state` moment that the search's positions come from."""

    def items(self, user: int) -> tuple[int, I64]:
        """Position of the oldest live behaviour, and the item ids `[n] int64` from oldest to newest."""
        ...


@dataclass(frozen=True, slots=True)
class TableView:
    """The vector table as one search sees it; it does not change while the search runs.

    Attributes:
        row_of_slot: `[slots] uint32`; 0 = the item has no vector.
        rows: `[rows, d] int8`; row 0 is nobody's.
        inv_norms: `[rows] float32`; 0 for row 0.

    """

    row_of_slot: U32
    rows: I8
    inv_norms: F32

    @property
    def dimension(self) -> int:
        """Width d of a vector."""
        return int(self.rows.shape[1])


class Work(NamedTuple):
    """A checked batch with its histories: all that a backend needs, frozen for one search.

    Attributes:
        table: The vectors.
        slots: `[N] uint32` the windows of all pairs, one after the other, oldest row first; of a packed pair at least
            the newest `recent` rows.
        offsets: `[P+1] int64`; the window of pair p is `slots[offsets[p]:offsets[p+1]]`.
        starts: `[P] int64` position of each window's first row.
        stops: `[P] int64` its end.
        rows: Of all windows together.
        packed: Per pair the packed rows to search, or None = gather them; only for a backend with a `form`.
        bounds: `[P+1] int64`, `vectors`: `[T, d] int8`, `inv_norms`: `[T] float32` as in `SearchBatch`.
        allowed: `[N] bool` beside `slots`, or None = all.
        excluded: `[T] uint32` the slot that is not retrieved for a candidate, 0 = none; None = none for all.
        k: Results per candidate.
        recent: Recent scores per candidate.

    """

    table: TableView
    slots: U32
    offsets: I64
    starts: I64
    stops: I64
    rows: int
    packed: Sequence[Packed | None]
    bounds: I64
    vectors: I8
    inv_norms: F32
    allowed: Flags | None
    excluded: U32 | None
    k: int
    recent: int

    @property
    def pairs(self) -> int:
        """P."""
        return len(self.starts)


class Backend(Protocol):
    """Computes searches. Must be thread-safe; holds no state that an answer depends on."""

    name: str

    @property
    def form(self) -> Form | None:
        """How hot users' rows are to be packed; None: not at all."""
        ...

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        ...
