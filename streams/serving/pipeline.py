"""From asks to answers: read state, retrieve, gather, score. Runs in the batcher's thread, several asks a pass.

One ask sees one moment: sequence, profile and positions come from one snapshot of its partition's store, the engine is
asked for exactly that window, and everything that the answer says of a behaviour is read from that sequence. That is
what makes an answer replayable from its positions.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Cosines, ScoreBatch, ServedModel
from muse_stream.esu_scorer.explain import Explained
from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.gsu_engine.columns import DeviceColumns
from muse_stream.monitoring.logs import fields
from muse_stream.state.columns import Sequence as History
from muse_stream.state.errors import DamagedStoreError, StateError
from muse_stream.state.moment import Moment
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving.columns import cosines_for, wants_columns
from muse_stream.streams.serving.explaining import CANDIDATES_MAX, Explaining, can_explain, scored, unscored
from muse_stream.streams.serving.features import HISTORY_MAX, RequestFeatures, features_of
from muse_stream.streams.serving.filters import allowed_rows, cut, excluded_items
from muse_stream.streams.serving.gather import Ids, Scored, score_batch, user_features
from muse_stream.streams.serving.histories import HISTORY_BYTES, Histories
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.shed import ExpiredError
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.serving.told import Told, positions_of
from muse_stream.streams.wire.requests import Request


@dataclass(frozen=True, slots=True)
class Ask:
    """One admitted request.

    Attributes:
        partition: Of the behaviours topic.
        request: What it wants.
        deadline: On the monotonic clock of `time.perf_counter`, in seconds; a pass that begins later skips it.
        clock: Where its time goes.
        may_stand_in: Whether it may be answered for a partition that nobody owns: nobody else will answer it.
        late_max_seconds: How late its copy may be when it is read; None: the copy was current when it was let in.
        trace: Id of the trace that the request belongs to, for log lines.

    """

    partition: int
    request: Request
    deadline: float
    clock: StageClock
    may_stand_in: bool = False
    late_max_seconds: float | None = None
    trace: str | None = None

    @property
    def names(self) -> dict[str, Any]:
        """What names the request in a log line."""
        return fields(request=self.request.request_id, trace=self.trace)

    @property
    def wants_scores(self) -> bool:
        """Whether the network is to run."""
        return self.request.want != "retrieved" and len(self.request.items) > 0

    def bare(self, deadline: float) -> "Ask":
        """The same without features and explanation, with a clock of its own."""
        request = replace(self.request, features=False, explain_rows=self.request.explain_rows[:0])
        return Ask(self.partition, request, deadline, StageClock())


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
        profile: Feature ids of the user at that moment.
        features: What the network read, where the request wants it.
        explaining: What an explanation is computed from, where the request wants one.
        explained: The explanation, once it is computed.
        told: The behaviours of features and explanation, where there is either.
        stale_seconds: How late the copy was when it was read, where it was not current.
        without_vector: Candidates that have no vector.

    """

    history: History
    result: SearchResult
    probabilities: NDArray[np.float32] | None
    behaviours_position: int
    users_position: int
    items_version: int
    watermark_ms: int
    live: Live
    profile: Mapping[str, int]
    features: RequestFeatures | None = None
    explaining: Explaining | None = None
    explained: Explained | None = None
    told: Told | None = None
    stale_seconds: float | None = None
    without_vector: int = 0


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
        explain_candidates: Candidates explained of a request, the first ones.
        history_bytes: Histories kept between requests, in all.

    """

    lease: Callable[[int], AbstractContextManager["MomentSource"]]
    live: Callable[[], Live]
    inverse_norms: Callable[[NDArray[np.int8]], NDArray[np.float32]]
    profile: Callable[[bytes], Mapping[str, int]]
    items_moment: Callable[[], AbstractContextManager[int]]
    damaged: Callable[[int, DamagedStoreError], None] = lambda partition, error: None
    features_history: int = HISTORY_MAX
    explain_candidates: int = CANDIDATES_MAX
    history_bytes: int = HISTORY_BYTES


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


@dataclass(frozen=True, eq=False, slots=True)
class _Searched:
    """Results per ask, `bounds [P+1]` of the asks' candidates, and cosines of all of them where they stay on a GPU."""

    results: list[SearchResult]
    bounds: Ids
    columns: DeviceColumns | None = None

    def cosines(self, model: ServedModel, to_score: list[int]) -> Cosines | None:
        """Of the asks to score, for a model that is where the columns are."""
        numbers = np.array(to_score)
        first, last = int(self.bounds[numbers[0]]), int(self.bounds[numbers[-1] + 1])
        count = int((self.bounds[numbers + 1] - self.bounds[numbers]).sum())
        return cosines_for(model, self.columns, first, count, last - first)


class SpaceError(Exception):
    """The ask brought vectors of another space than the one that this pass serves."""


class Pipeline:
    """Answers batches of asks. Used by one thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._histories = Histories(parts.history_bytes)

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
                    history=self._histories.read(store, moment, partition, user),
                    profile=self._parts.profile(profile) if profile else {},
                    behaviours_position=moment.position,
                    users_position=moment.users_position,
                    watermark_ms=moment.watermark_ms,
                )
        except (PartitionNotHereError, StateError) as error:
            if isinstance(error, DamagedStoreError):
                self._parts.damaged(partition, error)
            return error

    def again(self, ask: Ask, found: Found, live: Live) -> Found:
        """What another bundle makes of the same moment; an own vector of the ask must be of the bundle's space.

        What was retrieved is taken over where it is of the bundle's space and as wide as its model wants.
        """
        read = _Read(found.history, found.profile, found.behaviours_position, found.users_position, found.watermark_ms)
        known = [found.result] if _is_enough(found, live) else None
        (other,) = self._answer(_Pass([ask.bare(ask.deadline)], [read], live), known)
        return other

    def _answer(self, pass_: _Pass, known: list[SearchResult] | None = None) -> list[Found]:
        """Answer what could be read; `known` is what a search in the bundle's space has found before."""
        with self._parts.items_moment() as version:
            search = self._to_search(pass_)
            to_score = pass_.to_score()
            searched = _Searched(known, search.bounds) if known else self._search(pass_, search, to_score)
            results = searched.results
            pass_.mark("gsu")
            shares = self._shares(pass_, results, to_score)
            live = pass_.live
            widths = {"retrieved": live.retrieved, "recent": live.recent}
            batch = score_batch(shares, live.catalogue, **widths) if shares else None
            features = self._features(pass_, to_score, shares, batch) if batch is not None else {}
            explaining = self._explaining(pass_, search, results, dict(zip(to_score, shares, strict=True)))
            told = _told(pass_, features, explaining)
        absent = [int(np.count_nonzero(part == 0)) for part in np.split(search.inv_norms, search.bounds[1:-1])]
        probabilities: dict[int, NDArray[np.float32]] = {}
        if batch is not None and live.model is not None:
            pass_.mark("features")
            scores = live.model.score(batch, searched.cosines(live.model, to_score))
            parts = zip(to_score, batch.bounds[:-1], batch.bounds[1:], strict=True)
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
                profile=read.profile,
                features=features.get(number),
                explaining=explaining.get(number),
                told=told.get(number),
                without_vector=absent[number],
            )
            for number, read in enumerate(pass_.reads)
        ]

    def _to_search(self, pass_: _Pass) -> SearchBatch:
        """One pair per ask."""
        asks, reads, live = pass_.asks, pass_.reads, pass_.live
        vectors, inv_norms = self._candidate_vectors(asks, live)
        bounds = np.cumsum([0, *(len(ask.request.items) for ask in asks)], dtype=np.int64)
        return SearchBatch(
            users=np.array([ask.request.user for ask in asks], np.int64),
            starts=np.array([read.history.start for read in reads], np.int64),
            stops=np.array([read.history.stop for read in reads], np.int64),
            bounds=bounds,
            vectors=vectors,
            inv_norms=inv_norms,
            allowed=[allowed_rows(ask.request.filters, read.history) for ask, read in zip(asks, reads, strict=True)],
            excluded=excluded_items([ask.request for ask in asks]),
        )

    def _search(self, pass_: _Pass, batch: SearchBatch, to_score: list[int]) -> _Searched:
        """Results at least as wide as the model's K where scores are wanted."""
        asks, live = pass_.asks, pass_.live
        for ask in asks:
            if ask.request.prefetch:
                live.engine.prefetch(ask.request.user, pass_)
        widest = max(live.retrieved, *(ask.request.k for ask in asks), 1)
        on_device = bool(to_score) and wants_columns(live.model)
        result = live.engine.search(batch, widest, live.recent, pass_, on_device=on_device)
        results = [cut(result, int(first), int(last)) for first, last in pairwise(batch.bounds)]
        return _Searched(results, batch.bounds, result.device)

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

    def _explaining(
        self, pass_: _Pass, search: SearchBatch, results: list[SearchResult], shares: Mapping[int, Scored]
    ) -> dict[int, Explaining]:
        """Of the asks that want an explanation what it is computed from, by their numbers."""
        live, most = pass_.live, self._parts.explain_candidates
        rows = {number: ask.request.explain_rows[:most] for number, ask in enumerate(pass_.asks)}
        wanted = {number: own for number, own in rows.items() if len(own)}
        later = {number: own for number, own in wanted.items() if number in shares}
        found = {
            number: unscored(
                own, results[number], pass_.reads[number].history, pass_.asks[number].request.k, live.recent
            )
            for number, own in wanted.items()
            if number not in shares
        }
        return found | (scored(later, search, shares, live, pass_) if later and can_explain(live) else {})


def _told(
    pass_: _Pass, features: Mapping[int, RequestFeatures], explaining: Mapping[int, Explaining]
) -> dict[int, Told]:
    """Of the asks with features or an explanation the behaviours that these name, by their numbers."""
    parts: dict[int, list[Ids]] = {number: positions_of(read) for number, read in features.items()}
    for number, one in explaining.items():
        parts[number] = [*parts.get(number, ()), *one.positions()]
    catalogue, reads = pass_.live.catalogue, pass_.reads
    return {number: Told.of(reads[number].history, named, catalogue) for number, named in parts.items()}


def _is_enough(found: Found, live: Live) -> bool:
    """Whether what was found is what the bundle would retrieve."""
    widths = found.result.scores.shape[1], found.result.recent_scores.shape[1]
    return found.live.space == live.space and widths[0] >= live.retrieved and widths[1] >= live.recent


def _misfit(ask: Ask, live: Live) -> SpaceError | None:
    """Why an ask cannot be answered in the space that this pass serves."""
    if not len(ask.request.own_rows) or ask.request.space == live.space:
        return None
    return SpaceError(f"candidates' vectors are of space {ask.request.space!r}, served is {live.space!r}")
