"""From int64 ids to rows of an embedding table.

Two ways, with one interface (`Lookup`). `Vocabulary` knows its ids: strictly ascending and without 0, the id at index i
has row i + 1; row 0 is every unknown id and the missing id 0. A sorted array costs 8 bytes an id and is searched for a
whole batch at once: no Python dict, and the same bytes in memory and in the artefact. `HashedVocabulary` knows none: it
spreads all ids over a fixed number of buckets, for a feature whose table would not fit otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import VocabularyError

Ids = npt.NDArray[np.int64]

UNKNOWN_ROW = 0


class Lookup(Protocol):
    """Table rows for ids; row 0 is the missing id's."""

    @property
    def row_count(self) -> int:
        """Rows of the embedding table, row 0 included."""
        ...

    def rows(self, ids: Ids) -> Ids:
        """Table rows of `ids`, of the same shape, int64."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """The known ids of one feature: `ids [n] int64`. Raises `VocabularyError` unless ascending, distinct, without 0."""

    ids: Ids

    def __post_init__(self) -> None:
        if self.ids.dtype != np.int64 or self.ids.ndim != 1:
            msg = f"vocabulary must be one-dimensional int64, found {self.ids.dtype} {self.ids.shape}"
            raise VocabularyError(msg)
        if np.any(self.ids[1:] <= self.ids[:-1]):
            place = int(np.argmax(self.ids[1:] <= self.ids[:-1]))
            msg = (
                f"vocabulary must be strictly ascending, found {self.ids[place]} then {self.ids[place + 1]} at index "
                f"{place}; build it with Vocabulary.of(ids)"
            )
            raise VocabularyError(msg)
        if np.any(self.ids == 0):
            msg = "vocabulary holds id 0, which means 'missing' and always has row 0; build it with Vocabulary.of(ids)"
            raise VocabularyError(msg)

    @classmethod
    def of(cls, ids: npt.ArrayLike) -> Vocabulary:
        """Vocabulary of any integer ids: repeats and the missing id 0 are left out. Raises `VocabularyError`."""
        array = np.asarray(ids)
        if array.size and array.dtype.kind not in "iu":
            msg = f"vocabulary ids must be integers, found {array.dtype}; text is hashed by the id rule before"
            raise VocabularyError(msg)
        distinct = np.unique(array.astype(np.int64))
        return cls(distinct[distinct != 0])

    @property
    def row_count(self) -> int:
        """Rows of the embedding table: one per id and the unknown row."""
        return len(self.ids) + 1

    def rows(self, ids: Ids) -> Ids:
        """Table rows of `ids`, of the same shape, int64; unknown and missing ids get row 0."""
        if not len(self.ids):
            return np.zeros(ids.shape, np.int64)
        # The retrieved of one user's candidates repeat each other: each distinct id is searched once, in rising order,
        # which at 50 000 ids of 1 500 distinct in a vocabulary of a million is three times as fast.
        distinct, inverse = np.unique(ids, return_inverse=True)
        place = np.searchsorted(self.ids, distinct)
        place[place == len(self.ids)] = 0
        rows: Ids = np.where(self.ids[place] == distinct, place + 1, UNKNOWN_ROW)[inverse]
        return rows


@dataclass(frozen=True, slots=True)
class HashedVocabulary:
    """Every id has the row `1 + mix(id) % buckets`; row 0 is the missing id 0 alone.

    `mix` is the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over the id's 64 bits. Ids of one bucket share one
    embedding: of n ids a share of about `1 - exp(-n / buckets)` shares its row with another, and an id never seen in
    training gets the row of whichever ids fell there, not the unknown row. Raises `VocabularyError`: no bucket.
    """

    buckets: int

    def __post_init__(self) -> None:
        if self.buckets < 1:
            msg = f"a hashed vocabulary needs at least 1 bucket, found {self.buckets}"
            raise VocabularyError(msg)

    @property
    def row_count(self) -> int:
        """Rows of the embedding table: one per bucket and row 0."""
        return self.buckets + 1

    def rows(self, ids: Ids) -> Ids:
        """Table rows of `ids`, of the same shape, int64."""
        mixed = ids.astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return np.where(ids == 0, UNKNOWN_ROW, (mixed % np.uint64(self.buckets)).astype(np.int64) + 1)
