"""What a score would be had one of its retrieved behaviours not been there: leave one out, many at a time.

Taking a behaviour out of a history changes two lists: the next best is retrieved in its place, and where it was among
the newest R, the next older one moves in there. So a subject holds one spare column of each, and a variant is a choice
of columns: no search is repeated.

Invariant: a variant is exactly the batch that a new search over the history without the behaviour would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from muse_stream.esu_scorer.batch import LAYOUT, Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.errors import BatchError

TILE_ROWS = 2_000
"""Variants scored in one pass: as many as the candidates of the largest request that is served, so an explanation never
needs more memory than a request."""

Score = Callable[[ScoreBatch], Float32]


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """One user and C candidates to be explained.

    Attributes:
        batch: One user; K + 1 retrieved and R + 1 recent columns: the last ones are the spares, which the network did
            not read. Every list is filled from the front.
        places: `[C, K + 1] int64` which of the recent behaviours each retrieved one is, 0 = the newest; -1 = none of
            them.

    Raises `BatchError` at construction: another number of users, no spare columns, `places` of another shape.

    """

    batch: ScoreBatch
    places: Int64

    def __post_init__(self) -> None:
        shape = self.batch.retrieved_item.shape
        if self.batch.user_count != 1 or not shape[1] or not self.batch.recent_item.shape[1]:
            msg = (
                f"a subject is one user with spare columns, found {self.batch.user_count} users, {shape[1]} retrieved "
                f"and {self.batch.recent_item.shape[1]} recent columns; search for K + 1 and R + 1"
            )
            raise BatchError(msg)
        if self.places.shape != shape or self.places.dtype != np.int64:
            msg = f"places is {self.places.dtype} {self.places.shape}, expected int64 {shape}, as the retrieved columns"
            raise BatchError(msg)

    @property
    def k(self) -> int:
        """K: retrieved behaviours that the network reads."""
        return int(self.batch.retrieved_item.shape[1]) - 1

    @property
    def r(self) -> int:
        """R: recent behaviours that the network reads."""
        return int(self.batch.recent_item.shape[1]) - 1

    def served(self) -> ScoreBatch:
        """What the network read: the subject without its spares."""
        widths = {"R": self.r, "K": self.k}
        columns = {
            name: getattr(self.batch, name)[:, : widths[axes[1]]]
            for name, (_, axes) in LAYOUT.items()
            if axes[-1] in widths
        }
        return replace(self.batch, **columns)


@dataclass(frozen=True, eq=False, slots=True)
class Variants:
    """Rows to be scored, `[V] int64` each: a candidate, its retrieved column that lacks, and the recent one that does.

    The last column, the spare, lacks where nothing else does. `recent` ascends: rows of one list share a user.
    """

    candidates: Int64
    retrieved: Int64
    recent: Int64

    @classmethod
    def of(cls, subject: Subject) -> Variants:
        """One for each behaviour that the network read as retrieved."""
        candidates, retrieved = np.nonzero(subject.batch.retrieved_mask[:, : subject.k])
        places = subject.places[candidates, retrieved]
        recent = np.where(places < 0, subject.r, np.minimum(places, subject.r))
        order = np.argsort(recent, kind="stable")
        return cls(candidates[order], retrieved[order], recent[order])

    def tiles(self) -> Iterator[Variants]:
        """At most `TILE_ROWS` at a time."""
        for first in range(0, len(self.candidates), TILE_ROWS):
            rows = slice(first, first + TILE_ROWS)
            yield Variants(self.candidates[rows], self.retrieved[rows], self.recent[rows])


def leave_one_out(score: Score, subject: Subject, before_tile: Callable[[], None] = lambda: None) -> Float32:
    """Score of each candidate had a retrieved behaviour not been there, `[C, K] float32`; NaN where there is none.

    Args:
        score: The model's.
        subject: Whom, and what was retrieved.
        before_tile: Called before each pass of at most `TILE_ROWS` rows; what it raises ends the work.

    """
    found = np.full((subject.batch.candidate_count, subject.k), np.nan, np.float32)
    for tile in Variants.of(subject).tiles():
        before_tile()
        found[tile.candidates, tile.retrieved] = score(_chosen(subject, tile))
    return found


def _chosen(subject: Subject, variants: Variants) -> ScoreBatch:
    batch = subject.batch
    lists, starts, owners = np.unique(variants.recent, return_index=True, return_inverse=True)  # [P], [P], [V]
    recent, retrieved = _without(lists, subject.r), _without(variants.retrieved, subject.k)  # [P, R], [V, K]
    rows, near = variants.candidates[:, np.newaxis], recent[owners]  # [V, 1], [V, R]
    return ScoreBatch(
        user_features=np.repeat(batch.user_features, len(lists), axis=0),
        recent_item=batch.recent_item[0][recent],
        recent_category=batch.recent_category[0][recent],
        recent_mask=batch.recent_mask[0][recent],
        bounds=np.append(starts, len(rows)).astype(np.int64),
        candidate_features=batch.candidate_features[variants.candidates],
        recent_cosine=batch.recent_cosine[rows, near],
        recent_cosine_present=batch.recent_cosine_present[rows, near],
        retrieved_item=batch.retrieved_item[rows, retrieved],
        retrieved_category=batch.retrieved_category[rows, retrieved],
        retrieved_cosine=batch.retrieved_cosine[rows, retrieved],
        retrieved_mask=batch.retrieved_mask[rows, retrieved],
    )


def _without(lacking: Int64, count: int) -> Int64:
    """Columns `[V, count]` of lists of `count + 1`, each without the one that lacks, `[V]`."""
    columns = np.arange(count)
    return columns + (columns >= lacking[:, np.newaxis])
