"""What was seen of users at one moment of the items, searched together by the engine that serves.

Invariant: what is found for one user follows from its history, its candidates, the request's terms and the items'
moment alone; which others are searched beside it changes no bit (`gsu_engine.contract`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, SearchBatch, VectorTable
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.export.past import Seen
from muse_stream.streams.serving.filters import allowed_rows, cut, excluded_items
from muse_stream.streams.serving.gather import Ids, Scored, user_features
from muse_stream.streams.wire.requests import Request

CANDIDATES_MAX = 1_000
"""Candidates that are searched together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One user at one moment with the candidates to look at.

    Attributes:
        user: The user.
        seen: What was known of it.
        items: `[C] int64` candidates.
        request: What was asked: k, filters, own vectors, context. None: the model's K, and none of these.

    """

    user: int
    seen: Seen
    items: Ids
    request: Request | None = None


class Joined:
    """Histories of several moments, one per user: `HistorySource` of a search over windows of all of them."""

    def __init__(self) -> None:
        self._histories: dict[int, History] = {}

    def fits(self, user: int, history: History) -> bool:
        """Whether the history goes on where the ones before it lie, without a hole (an erasure leaves one)."""
        held = self._histories.get(user)
        return held is None or held.start <= history.start <= held.stop <= history.stop

    def add(self, user: int, history: History) -> None:
        """Join a history that fits."""
        held = self._histories.get(user)
        if held is None:
            self._histories[user] = history
        else:
            more = history.rows[held.stop - history.start :]
            self._histories[user] = History(held.start, np.concatenate([held.rows, more]) if len(more) else held.rows)

    def items(self, user: int) -> tuple[int, Ids]:
        """Position of the first behaviour, and the item ids from there on."""
        history = self._histories[user]
        return history.start, np.ascontiguousarray(history.rows["item"])


class Searches:
    """Collects what is wanted at one moment of the items, and searches it together.

    Either all or none of what waits together comes from requests.
    """

    def __init__(self, vectors: VectorTable, engine: GsuEngine) -> None:
        """Take one space's vectors, and the engine over them."""
        self._vectors, self._engine = vectors, engine
        self._wanted: list[Wanted] = []
        self._joined, self._candidates = Joined(), 0

    def takes(self, wanted: Wanted) -> bool:
        """Whether this one can be searched together with those that wait."""
        full = self._candidates and self._candidates + len(wanted.items) > CANDIDATES_MAX
        return not full and self._joined.fits(wanted.user, wanted.seen.history)

    def add(self, wanted: Wanted) -> None:
        """Let it wait; `takes` must allow it."""
        self._joined.add(wanted.user, wanted.seen.history)
        self._wanted.append(wanted)
        self._candidates += len(wanted.items)

    def search(self, k: int, recent: int, user_names: Sequence[str]) -> list[Scored]:
        """Search for all that wait, in the order in which they came; none wait afterwards.

        Args:
            k: Behaviours to retrieve at least; more where a request asks for more.
            recent: Newest behaviours to compare.
            user_names: The user features to gather.

        """
        wanted, joined = self._wanted, self._joined
        self._wanted, self._joined, self._candidates = [], Joined(), 0
        if not wanted:
            return []
        bounds = np.cumsum([0, *(len(one.items) for one in wanted)], dtype=np.int64)
        widest = max(k, *(one.request.k if one.request else 0 for one in wanted), 1)
        result = self._engine.search(self._batch(wanted, bounds), widest, recent, joined)
        return [
            Scored(
                history=one.seen.history,
                user_features=user_features(user_names, one.request.context if one.request else {}, one.seen.profile),
                candidates=one.items,
                result=cut(result, low, high),
            )
            for one, (low, high) in zip(wanted, pairwise(bounds.tolist()), strict=True)
        ]

    def _batch(self, wanted: Sequence[Wanted], bounds: Ids) -> SearchBatch:
        vectors, inv_norms = self._candidate_vectors(wanted)
        requests = [one.request for one in wanted if one.request is not None]
        return SearchBatch(
            users=np.array([one.user for one in wanted], np.int64),
            starts=np.array([one.seen.history.start for one in wanted], np.int64),
            stops=np.array([one.seen.history.stop for one in wanted], np.int64),
            bounds=bounds,
            vectors=vectors,
            inv_norms=inv_norms,
            allowed=[allowed_rows(one.request.filters if one.request else None, one.seen.history) for one in wanted],
            excluded=excluded_items(requests) if requests else None,
        )

    def _candidate_vectors(self, wanted: Sequence[Wanted]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        vectors, inv_norms = self._vectors.lookup(np.concatenate([one.items for one in wanted]))
        first = 0
        for one in wanted:
            if one.request is not None and len(one.request.own_rows):
                vectors[first + one.request.own_rows] = one.request.own_vectors
                inv_norms[first + one.request.own_rows] = inverse_norms(one.request.own_vectors)
            first += len(one.items)
        return vectors, inv_norms
