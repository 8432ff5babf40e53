"""Features by id: the columns of items or users, found for a whole block at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class FeatureTable:
    """Feature ids of items or users: `ids [n] int64` rising and distinct, each column `[n] int64`, 0 = missing."""

    ids: Int64
    columns: Mapping[str, Int64]

    @classmethod
    def of(cls, ids: npt.ArrayLike, columns: Mapping[str, npt.ArrayLike], name: str = "features") -> FeatureTable:
        """Build from rows in which an id may occur again: its first row counts, so that nothing later leaks into it.

        Raises:
            DataError: A column is not integers, or not as long as `ids`.

        """
        arrays = {column: _integers(name, column, values) for column, values in {"ids": ids, **columns}.items()}
        for column, values in arrays.items():
            if len(values) != len(arrays["ids"]):
                msg = f"{name}: column {column!r} has {len(values)} rows, the ids have {len(arrays['ids'])}"
                raise DataError(msg)
        distinct, first = np.unique(arrays.pop("ids"), return_index=True)
        return cls(distinct, {column: values[first] for column, values in arrays.items()})

    def look_up(self, ids: Int64, names: Sequence[str]) -> Int64:
        """Some columns for some ids, `[n, len(names)] int64`; an unknown id gets zeros."""
        found = np.zeros((len(ids), len(names)), np.int64)
        if names and len(self.ids):
            place = np.searchsorted(self.ids, ids)
            place[place == len(self.ids)] = 0
            known = self.ids[place] == ids
            for column, name in enumerate(names):
                found[known, column] = self.columns[name][place[known]]
        return found


EMPTY = FeatureTable(np.empty(0, np.int64), {})


def text_id(text: str) -> int:
    """The id of a text: the 8-byte BLAKE2b digest of its UTF-8, little-endian, signed; 0 = empty text (missing)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) if text else 0


def _integers(name: str, column: str, values: npt.ArrayLike) -> Int64:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        msg = f"{name}: column {column!r} is {array.dtype}, expected integer ids; hash texts first"
        raise DataError(msg)
    return array.astype(np.int64)
