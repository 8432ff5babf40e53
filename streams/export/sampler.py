"""From what was seen of users to features, by the code that serves: the engine's search, then the columns of a pass.

Invariant: features of one request follow from its history, its candidates and the items' moment alone; which others are
searched beside it changes no bit (`gsu_engine.contract`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.gsu_engine import GsuEngine, SearchBatch
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.export.items import ItemTables
from muse_stream.streams.export.past import Seen
from muse_stream.streams.serving.features import RequestFeatures, features_of
from muse_stream.streams.serving.filters import cut
from muse_stream.streams.serving.gather import Ids, Scored, score_batch, user_features

CANDIDATES_MAX = 1_000
"""Candidates that are searched together."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model reads: its features, K and R, and the vector space of its cosines."""

    spec: FeatureSpec
    k: int
    r: int
    space: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One user at one moment with the candidates to look at: `items [C] int64`."""

    user: int
    seen: Seen
    items: Ids


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


class Sampler:
    """Collects what is wanted at one moment of the items, and computes it together."""

    def __init__(self, tables: ItemTables, engine: GsuEngine, shape: Shape, length: int) -> None:
        """Prepare; `length` newest behaviours of each history come along."""
        self._tables, self._engine, self._shape, self._length = tables, engine, shape, length
        self._wanted: list[Wanted] = []
        self._joined, self._candidates = Joined(), 0

    def takes(self, wanted: Wanted) -> bool:
        """Whether this one can be computed together with those that wait."""
        full = self._candidates and self._candidates + len(wanted.items) > CANDIDATES_MAX
        return not full and self._joined.fits(wanted.user, wanted.seen.history)

    def add(self, wanted: Wanted) -> None:
        """Let it wait; `takes` must allow it."""
        self._joined.add(wanted.user, wanted.seen.history)
        self._wanted.append(wanted)
        self._candidates += len(wanted.items)

    def compute(self) -> list[RequestFeatures]:
        """Features of all that wait, in the order in which they came; none wait afterwards."""
        wanted, joined = self._wanted, self._joined
        self._wanted, self._joined, self._candidates = [], Joined(), 0
        return self._features(wanted, joined) if wanted else []

    def _features(self, wanted: Sequence[Wanted], joined: Joined) -> list[RequestFeatures]:
        bounds = np.cumsum([0, *(len(one.items) for one in wanted)], dtype=np.int64)
        vectors, inv_norms = self._tables.vectors.lookup(np.concatenate([one.items for one in wanted]))
        batch = SearchBatch(
            users=np.array([one.user for one in wanted], np.int64),
            starts=np.array([one.seen.history.start for one in wanted], np.int64),
            stops=np.array([one.seen.history.stop for one in wanted], np.int64),
            bounds=bounds,
            vectors=vectors,
            inv_norms=inv_norms,
        )
        shape = self._shape
        result = self._engine.search(batch, shape.k, shape.r, joined)
        requests = [
            Scored(
                history=one.seen.history,
                user_features=user_features(shape.spec.user_names, one.seen.profile),
                candidates=one.items,
                result=cut(result, low, high),
            )
            for one, (low, high) in zip(wanted, pairwise(bounds.tolist()), strict=True)
        ]
        catalogue = self._tables.catalogue
        columns = score_batch(requests, catalogue, retrieved=shape.k, recent=shape.r)
        parts = zip(requests, columns.split(), strict=True)
        return [features_of(request, part, catalogue, self._length) for request, part in parts]
