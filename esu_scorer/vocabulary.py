"""From int64 ids to rows of an embedding table.

Invariant: `ids` is strictly ascending and without 0, and the id at index i has row i + 1; row 0 is every unknown id and
the missing id 0. A sorted array costs 8 bytes an id and is searched for a whole batch at once: no Python dict, and the
same bytes in memory and in the artefact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import VocabularyError

Ids = npt.NDArray[np.int64]

UNKNOWN_ROW = 0


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
