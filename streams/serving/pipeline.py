"""From asks to answers: read state, retrieve, gather, score. Runs in the batcher's thread, several asks a pass.

One ask sees one moment: sequence, profile and positions come from one snapshot of its partition's store, the engine is
asked for exactly that window, and everything that the answer says of a behaviour is read from that sequence. That is
what makes an answer replayable from its positions.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Cosines, ScoreBatch, ServedModel
from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.gsu_engine.columns import DeviceColumns
from muse_stream.state.columns import Sequence as History
from muse_stream.state.errors import DamagedStoreError, StateError
from muse_stream.state.moment import Moment
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving.columns import cosines_for, wants_columns
from muse_stream.streams.serving.features import HISTORY_MAX, RequestFeatures, features_of
from muse_stream.streams.serving.filters import allowed_rows, cut, excluded_items
from muse_stream.streams.serving.gather import Ids, Scored, score_batch, user_features
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.requests import Request


@dataclass(frozen=True, slots=True)
class Ask:
    """One admitted request: its partition of the behaviours topic, what it wants, and until when.

    `deadline` is on the monotonic clock of `time.perf_counter`, in seconds; a pass that begins later skips it.
    """

    partition: int
    request: Request
    deadline: float
    clock: StageClock

    @property
    def wants_scores(self) -> bool:
        """Whether the network is to run."""
        return self.request.want != "retrieved" and len(self.request.items) > 0


@dataclass(frozen=True, slots=True)
class Found:
    """What came out for one ask.

    Attributes:
        history: The sequence that everything was computed on.
        result: Retrieval, `[C, k]` and `[C, R]`.
        probabilities: `[C] float32`, None where no scores were wanted.
        behaviours_position: Next offset of the behaviours partition at that moment.
        users_position: Next offset of the users partition at that moment.
        items_version: Position of the item log that the vectors and features came from.
        watermark_ms: Largest broker time of the partition at that moment.
        live: What answered.
        features: What the network read, where the request wants it.

    """

    history: History
    result: SearchResult
    probabilities: NDArray[np.float32] | None
    behaviours_position: int
    users_position: int
    items_version: int
    watermark_ms: int
    live: Live
    features: RequestFeatures | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pipeline is composed of.

    Attributes:
        lease: Lends the open store of a partition; raises PartitionNotHereError.
        live: What answers, asked once a pass.
        inverse_norms: Inverse norms `[n] float32` of vectors that came with a request.
        profile: Decodes a stored profile into feature ids.
        items_moment: Holds the item tables still for a `with` block and gives the log position that they stand at.
        damaged: Told of a partition whose store a read found damaged.
        features_history: Newest behaviours that come with the features of a request.

    """

    lease: Callable[[int], AbstractContextManager["MomentSource"]]
    live: Callable[[], Live]
    inverse_norms: Callable[[NDArray[np.int8]], NDArray[np.float32]]
    profile: Callable[[bytes], Mapping[str, int]]
    items_moment: Callable[[], AbstractContextManager[int]]
    damaged: Callable[[int, DamagedStoreError], None] = lambda partition, error: None
    features_history: int = HISTORY_MAX


class MomentSource(Protocol):
    """A store, as readers see it."""

    def moment(self) -> AbstractContextManager[Moment]:
        """Open a consistent snapshot."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    history: History
    profile: Mapping[str, int]
    behaviours_position: int
    users_position: int
    watermark_ms: int


@dataclass(frozen=True, slots=True)
class _Pass:
    """The asks of one pass whose state could be read, and what answers them."""

    asks: list[Ask]
    reads: list[_Read]
    live: Live

    def mark(self, stage: str) -> None:
        for ask in self.asks:
            ask.clock.mark(stage)

    def items(self, user: int) -> tuple[int, Ids]:
        """Serve the engine (`HistorySource`) from the sequences that this pass has read."""
        history = next(
            read.history for ask, read in zip(self.asks, self.reads, strict=True) if ask.request.user == user
        )
        return history.start, np.ascontiguousarray(history.rows["item"])

    def to_score(self) -> list[int]:
        """Numbers of the asks that want scores and can have them."""
        return [number for number, ask in enumerate(self.asks) if self.live.model and ask.wants_scores]


@dataclass(frozen=True, slots=True)
class _Searched:
    """Results per ask, where each ask's candidates begin and the last one's end, and the whole on a device."""

    results: list[SearchResult]
    bounds: list[int]
    columns: DeviceColumns | None

    def cosines(self, model: ServedModel, scored: list[int]) -> Cosines | None:
        """Of the scored asks, for a model that is where the columns are."""
        first, last = self.bounds[scored[0]], self.bounds[scored[-1] + 1]
        count = sum(self.bounds[number + 1] - self.bounds[number] for number in scored)
        return cosines_for(model, self.columns, first, count, last - first)


class ExpiredError(Exception):
    """The ask's deadline passed while it waited for its turn."""


class SpaceError(Exception):
    """The ask brought vectors of another space than the one that this pass serves."""


class Pipeline:
    """Answers batches of asks. Used by one thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, asks: Sequence[Ask]) -> list["Found | Exception"]:
        """Answer each ask, or say why not.

        PartitionNotHereError: it has left this worker. ExpiredError: too late. StateError: its store cannot be read.
        SpaceError: its candidates' own vectors are of a space that is not served.
        """
        for ask in asks:
            ask.clock.mark("queue")
        live = self._parts.live()
        reads = [_misfit(ask, live) or read for ask, read in zip(asks, self._read_all(asks), strict=True)]
        alive = [(ask, read) for ask, read in zip(asks, reads, strict=True) if isinstance(read, _Read)]
        pass_ = _Pass([ask for ask, _ in alive], [read for _, read in alive], live)
        pass_.mark("state_read")
        found = iter(self._answer(pass_) if alive else [])
        return [next(found) if isinstance(read, _Read) else read for read in reads]

    def _read_all(self, asks: Sequence[Ask]) -> list["_Read | Exception"]:
        """One read per user, shared by all asks about that user: they see the same moment."""
        reads: dict[tuple[int, int], _Read | Exception] = {}
        now = time.perf_counter()
        for ask in asks:
            key = (ask.partition, ask.request.user)
            if key not in reads and ask.deadline > now:
                reads[key] = self._try_read(*key)
        expired = ExpiredError("the deadline passed while the request waited")
        return [reads[ask.partition, ask.request.user] if ask.deadline > now else expired for ask in asks]

    def _try_read(self, partition: int, user: int) -> "_Read | Exception":
        try:
            with self._parts.lease(partition) as store, store.moment() as moment:
                profile = moment.profile(user)
                return _Read(
                    history=moment.sequence(user),
                    profile=self._parts.profile(profile) if profile else {},
                    behaviours_position=moment.position,
                    users_position=moment.users_position,
                    watermark_ms=moment.watermark_ms,
                )
        except (PartitionNotHereError, StateError) as error:
            if isinstance(error, DamagedStoreError):
                self._parts.damaged(partition, error)
            return error

    def _answer(self, pass_: _Pass) -> list[Found]:
        with self._parts.items_moment() as version:
            scored = pass_.to_score()
            found = self._search(pass_, on_device=bool(scored) and wants_columns(pass_.live.model))
            results = found.results
            pass_.mark("gsu")
            shares = self._shares(pass_, results, scored)
            live = pass_.live
            widths = {"retrieved": live.retrieved, "recent": live.recent}
            batch = score_batch(shares, live.catalogue, **widths) if shares else None
            features = self._features(pass_, scored, shares, batch) if batch is not None else {}
        probabilities: dict[int, NDArray[np.float32]] = {}
        if batch is not None and live.model is not None:
            pass_.mark("features")
            scores = live.model.score(batch, found.cosines(live.model, scored))
            parts = zip(scored, batch.bounds[:-1], batch.bounds[1:], strict=True)
            probabilities = {number: scores[first:last] for number, first, last in parts}
            pass_.mark("esu")
        return [
            Found(
                history=read.history,
                result=results[number],
                probabilities=probabilities.get(number),
                behaviours_position=read.behaviours_position,
                users_position=read.users_position,
                items_version=version,
                watermark_ms=read.watermark_ms,
                live=live,
                features=features.get(number),
            )
            for number, read in enumerate(pass_.reads)
        ]

    def _search(self, pass_: _Pass, *, on_device: bool) -> _Searched:
        """Results at least as wide as the model's K where scores are wanted."""
        asks, reads, live = pass_.asks, pass_.reads, pass_.live
        for ask in asks:
            if ask.request.prefetch:
                live.engine.prefetch(ask.request.user, pass_)
        vectors, inv_norms = self._candidate_vectors(asks, live)
        bounds = np.cumsum([0, *(len(ask.request.items) for ask in asks)], dtype=np.int64)
        batch = SearchBatch(
            users=np.array([ask.request.user for ask in asks], np.int64),
            starts=np.array([read.history.start for read in reads], np.int64),
            stops=np.array([read.history.stop for read in reads], np.int64),
            bounds=bounds,
            vectors=vectors,
            inv_norms=inv_norms,
            allowed=[allowed_rows(ask.request.filters, read.history) for ask, read in zip(asks, reads, strict=True)],
            excluded=excluded_items([ask.request for ask in asks]),
        )
        widest = max(live.retrieved, *(ask.request.k for ask in asks), 1)
        result = live.engine.search(batch, widest, live.recent, pass_, on_device=on_device)
        results = [cut(result, int(first), int(last)) for first, last in pairwise(bounds)]
        return _Searched(results, bounds.tolist(), result.device)

    def _candidate_vectors(self, asks: list[Ask], live: Live) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        requests = [ask.request for ask in asks]
        vectors, inv_norms = live.vectors.lookup(np.concatenate([request.items for request in requests]))
        first = 0
        for request in requests:
            if len(request.own_rows):
                vectors[first + request.own_rows] = request.own_vectors
                inv_norms[first + request.own_rows] = self._parts.inverse_norms(request.own_vectors)
            first += len(request.items)
        return vectors, inv_norms

    def _shares(self, pass_: _Pass, results: list[SearchResult], numbers: list[int]) -> list[Scored]:
        """The asks with these numbers, as the gathering of columns takes them."""
        info = pass_.live.info
        if info is None:
            return []
        names = info.spec.user_names
        return [
            Scored(
                history=pass_.reads[number].history,
                user_features=user_features(names, pass_.asks[number].request.context, pass_.reads[number].profile),
                candidates=pass_.asks[number].request.items,
                result=results[number],
            )
            for number in numbers
        ]

    def _features(
        self, pass_: _Pass, numbers: list[int], shares: list[Scored], batch: ScoreBatch
    ) -> dict[int, RequestFeatures]:
        """Of the asks that want them what the network read, by their numbers."""
        wanted = [pass_.asks[number].request.features for number in numbers]
        if not any(wanted):
            return {}
        parts = zip(numbers, wanted, shares, batch.split(), strict=True)
        return {
            number: features_of(share, part, pass_.live.catalogue, self._parts.features_history)
            for number, own, share, part in parts
            if own
        }


def _misfit(ask: Ask, live: Live) -> SpaceError | None:
    """Why an ask cannot be answered in the space that this pass serves."""
    if not len(ask.request.own_rows) or ask.request.space == live.space:
        return None
    return SpaceError(f"candidates' vectors are of space {ask.request.space!r}, served is {live.space!r}")
