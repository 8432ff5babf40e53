"""`ScoreBatch`: what one scoring pass reads, as columns.

Invariant: a batch that exists is rectangular, of the declared dtypes, and finite wherever a mask says that a value is
there. What lies under a False mask is never read, so padding may hold anything.

P users, T candidates in all; user p owns the candidates `bounds[p]:bounds[p + 1]`. R and K are the padded lengths of
this batch, not of the model: a shorter history has False in its masks. A user without candidates and a candidate
without retrieved behaviours are legal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import BatchError

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

# Column -> (dtype, axes). One letter is one length: all columns with it must agree; N is P + 1.
LAYOUT = {
    "user_features": (np.int64, "PU"),
    "recent_item": (np.int64, "PR"),
    "recent_category": (np.int64, "PR"),
    "recent_mask": (np.bool_, "PR"),
    "bounds": (np.int64, "N"),
    "candidate_features": (np.int64, "TF"),
    "recent_cosine": (np.float32, "TR"),
    "recent_cosine_present": (np.bool_, "TR"),
    "retrieved_item": (np.int64, "TK"),
    "retrieved_category": (np.int64, "TK"),
    "retrieved_cosine": (np.float32, "TK"),
    "retrieved_mask": (np.bool_, "TK"),
}


@dataclass(frozen=True, eq=False, slots=True)
class ScoreBatch:
    """P users and T candidates, ready to be scored. Feature ids are int64, 0 = missing; columns in `FeatureSpec` order.

    `recent_*` are the user's last behaviours, `recent_cosine[t, j]` is candidate t against recent behaviour j of its
    user (`recent_cosine_present`: False where the item has no vector). `retrieved_*` are candidate t's top K.
    Raises `BatchError` at construction when shapes, dtypes or bounds do not fit, or a present cosine is not finite.
    """

    user_features: Int64  # [P, U]
    recent_item: Int64  # [P, R]
    recent_category: Int64  # [P, R]
    recent_mask: Bool  # [P, R]
    bounds: Int64  # [P + 1]
    candidate_features: Int64  # [T, F], first item id, then category id
    recent_cosine: Float32  # [T, R]
    recent_cosine_present: Bool  # [T, R]
    retrieved_item: Int64  # [T, K]
    retrieved_category: Int64  # [T, K]
    retrieved_cosine: Float32  # [T, K]
    retrieved_mask: Bool  # [T, K]

    def __post_init__(self) -> None:
        lengths: dict[str, tuple[int, str]] = {}
        for name, (dtype, axes) in LAYOUT.items():
            _check_column(name, getattr(self, name), np.dtype(dtype), axes, lengths)
        _check_bounds(self.bounds, lengths["P"][0], lengths["T"][0])
        _check_cosines("recent_cosine", self.recent_cosine, self.recent_cosine_present)
        _check_cosines("retrieved_cosine", self.retrieved_cosine, self.retrieved_mask)

    @property
    def user_count(self) -> int:
        """P."""
        return len(self.user_features)

    @property
    def candidate_count(self) -> int:
        """T."""
        return len(self.candidate_features)

    def owners(self) -> Int64:
        """Index of each candidate's user, `[T] int64`."""
        return np.repeat(np.arange(self.user_count), np.diff(self.bounds))

    def split(self) -> Iterator[ScoreBatch]:
        """One batch per user, in order; views of the columns."""
        for user in range(self.user_count):
            start, stop = int(self.bounds[user]), int(self.bounds[user + 1])
            rows = {"P": slice(user, user + 1), "T": slice(start, stop)}
            columns = {name: getattr(self, name)[rows[axes[0]]] for name, (_, axes) in LAYOUT.items() if axes != "N"}
            yield ScoreBatch(**columns, bounds=np.array([0, stop - start], np.int64))

    @classmethod
    def join(cls, batches: Sequence[ScoreBatch]) -> ScoreBatch:
        """All users of `batches` in one batch, in order, padded to the longest R and K.

        Raises `BatchError` when there is none or their feature columns differ in number.
        """
        if not batches:
            msg = "cannot join no batches: pass at least one"
            raise BatchError(msg)
        joined: dict[str, Any] = {
            name: _stack(name, [getattr(batch, name) for batch in batches]) for name in LAYOUT if name != "bounds"
        }
        counts = np.concatenate([np.diff(batch.bounds) for batch in batches])
        return cls(**joined, bounds=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def _check_column(
    name: str, column: object, dtype: np.dtype[np.generic], axes: str, lengths: dict[str, tuple[int, str]]
) -> None:
    """Check one column and note in `lengths` each axis met for the first time, with the column that fixed it."""
    if not isinstance(column, np.ndarray) or column.dtype != dtype or column.ndim != len(axes):
        found = f"{column.dtype} {column.shape}" if isinstance(column, np.ndarray) else type(column).__name__
        msg = f"{name} must be a {dtype} array [{', '.join(axes).replace('N', 'P + 1')}], found {found}"
        raise BatchError(msg)
    for axis, length in zip(axes, column.shape, strict=True):
        expected, where = lengths.setdefault(axis, (length, name))
        if length != expected:
            msg = f"{name} has {axis} = {length}, but {where} has {axis} = {expected}: found shape {column.shape}"
            raise BatchError(msg)


def _check_bounds(bounds: Int64, users: int, candidates: int) -> None:
    if len(bounds) != users + 1:
        msg = f"bounds must have P + 1 = {users + 1} entries, found {len(bounds)}"
        raise BatchError(msg)
    if bounds[0] != 0 or bounds[-1] != candidates or np.any(bounds[1:] < bounds[:-1]):
        msg = f"bounds must rise from 0 to T = {candidates}, found {bounds[:8].tolist()}{'...' if users > 7 else ''}"
        raise BatchError(msg)


def _check_cosines(name: str, cosines: Float32, present: Bool) -> None:
    wrong = present & ~np.isfinite(cosines)
    if wrong.any():
        row, place = (int(index) for index in np.argwhere(wrong)[0])
        msg = f"{name}[{row}, {place}] is {cosines[row, place]} where its mask says present; expected a finite cosine"
        raise BatchError(msg)


def _stack(name: str, columns: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Stack along the first axis; the second is padded with zeros (False) for histories, must agree for features."""
    widths = {column.shape[1] for column in columns}
    if len(widths) == 1:
        return np.concatenate(columns)
    if name in {"user_features", "candidate_features"}:
        msg = f"cannot join batches of different {name}: widths {sorted(widths)}; all must follow one FeatureSpec"
        raise BatchError(msg)
    widest = max(widths)
    return np.concatenate([np.pad(column, ((0, 0), (0, widest - column.shape[1]))) for column in columns])
