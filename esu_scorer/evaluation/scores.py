"""What a model said of the samples of a part, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import EvaluationError

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

UNKNOWN_AGE = -1


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """N samples.

    Raises `EvaluationError` at construction: columns of other lengths, a score outside 0..1, a window of less than
    nothing, an age below -1.

    Attributes:
        user: `[N] int64` user ids.
        label: `[N] bool`, True = positive.
        score: `[N] float32` predicted probability of a positive.
        history: `[N] int64` length of the sample's window.
        age_ms: `[N] int64` median age of the retrieved behaviours at the sample's moment; -1 = not known.

    """

    user: Int64
    label: Bool
    score: Float32
    history: Int64
    age_ms: Int64

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            msg = f"columns of scores must be of one length, found {lengths}"
            raise EvaluationError(msg)
        for name, least in (("history", 0), ("age_ms", UNKNOWN_AGE)):
            low = getattr(self, name) < least
            if low.any():
                row = int(np.argmax(low))
                msg = f"sample {row} (user {self.user[row]}) has {name} {getattr(self, name)[row]}, expected >= {least}"
                raise EvaluationError(msg)
        wrong = ~((self.score >= 0) & (self.score <= 1))
        if wrong.any():
            row = int(np.argmax(wrong))
            msg = f"sample {row} (user {self.user[row]}) has score {self.score[row]}, expected a probability in 0..1"
            raise EvaluationError(msg)

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, user: Int64, label: Bool, score: npt.NDArray[np.floating]) -> Scores:
        """Scores of which neither the windows nor the retrieved behaviours are known."""
        count = len(user)
        nothing, unknown = np.zeros(count, np.int64), np.full(count, UNKNOWN_AGE, np.int64)
        return cls(user, label, score.astype(np.float32), nothing, unknown)

    @classmethod
    def join(cls, parts: Iterable[Scores]) -> Scores:
        """Scores of one batch after another, as one."""
        given = list(parts)
        if not given:
            return cls.of(np.empty(0, np.int64), np.empty(0, bool), np.empty(0, np.float32))
        return cls(*(np.concatenate([getattr(part, field.name) for part in given]) for field in fields(cls)))

    def take(self, rows: Int64 | Bool) -> Scores:
        """Some samples: those at `rows`, or where a mask is True."""
        return Scores(*(getattr(self, field.name)[rows] for field in fields(self)))
