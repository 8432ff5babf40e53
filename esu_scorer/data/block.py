"""The normal form: samples and the behaviours that came before each, as columns.

A *sample* is a user, a candidate item, a moment and a label. Its *window* is the user's behaviours before that moment:
rows `start..stop-1` of the user's history, oldest first; nothing at or after `stop` may be looked at. A *place* is a
row number within the user's history.

Invariant: a `Block` that exists is rectangular and its windows lie within its histories (checked at construction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import BatchError

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Behaviours:
    """Behaviours of many users, one user's after the other's, oldest first.

    Attributes:
        item: `[M] int64` item ids.
        category: `[M] int64` categories, 0 = not known.
        action: `[M] uint8` action codes, 0 = not known.
        time_ms: `[M] int64` milliseconds since the epoch, rising within a window; 0 = the source has no times.

    """

    item: Int64
    category: Int64
    action: UInt8
    time_ms: Int64

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True, eq=False, slots=True)
class Histories:
    """Whose behaviours are where: user p has rows `lows[p]:highs[p]` of `behaviours`.

    Several blocks may share one `behaviours`.

    Attributes:
        user: `[P] int64` user ids, distinct.
        lows: `[P] int64`.
        highs: `[P] int64`.
        behaviours: The rows.

    """

    user: Int64
    lows: Int64
    highs: Int64
    behaviours: Behaviours


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """N samples, in the order in which they are to be learnt from.

    Attributes:
        histories: Of all users of the block.
        owner: `[N] int64` index of each sample's user in `histories`.
        start: `[N] int64` first place of the window.
        stop: `[N] int64` its end: the places from here on are the sample's future.
        candidate_features: `[N, F] int64` in the order of the source's spec: item, category, then others; 0 = missing.
        user_features: `[N, U] int64` likewise.
        time_ms: `[N] int64` the sample's moment; 0 = the source has no times.
        label: `[N] bool`, True = positive (a click, a purchase).

    """

    histories: Histories
    owner: Int64
    start: Int64
    stop: Int64
    candidate_features: Int64
    user_features: Int64
    time_ms: Int64
    label: Bool

    def __post_init__(self) -> None:
        """Raise `BatchError` where lengths differ or a window leaves its history."""
        count = len(self.owner)
        for name in ("start", "stop", "candidate_features", "user_features", "time_ms", "label"):
            if len(getattr(self, name)) != count:
                msg = f"{name} has {len(getattr(self, name))} rows, owner has {count}"
                raise BatchError(msg)
        lengths = (self.histories.highs - self.histories.lows)[self.owner]
        wrong = (self.start < 0) | (self.start > self.stop) | (self.stop > lengths)
        if wrong.any():
            row = int(np.argmax(wrong))
            msg = f"sample {row} has window {self.start[row]}..{self.stop[row]} of a history of {lengths[row]} rows"
            raise BatchError(msg)

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def user(self) -> Int64:
        """User id of each sample, `[N] int64`."""
        return self.histories.user[self.owner]

    @property
    def item(self) -> Int64:
        """Candidate item of each sample, `[N] int64`."""
        return self.candidate_features[:, 0]

    @property
    def category(self) -> Int64:
        """Its category, `[N] int64`."""
        return self.candidate_features[:, 1]

    def take(self, rows: Int64 | slice | Sequence[int]) -> Block:
        """Some samples, in the order given; histories are shared."""
        return Block(
            histories=self.histories,
            owner=self.owner[rows],
            start=self.start[rows],
            stop=self.stop[rows],
            candidate_features=self.candidate_features[rows],
            user_features=self.user_features[rows],
            time_ms=self.time_ms[rows],
            label=self.label[rows],
        )

    def last(self, length: int) -> Block:
        """The same samples with windows of at most their newest `length` behaviours."""
        start = np.maximum(self.start, self.stop - length)
        return Block(
            self.histories,
            self.owner,
            start,
            self.stop,
            self.candidate_features,
            self.user_features,
            self.time_ms,
            self.label,
        )
