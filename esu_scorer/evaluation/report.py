"""What is known of a model on a part, as one value that goes to JSON and back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from muse_stream.esu_scorer.errors import EvaluationError


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value and its 95 % interval over users.

    None = does not exist: GAUC where no user has both classes; an interval over fewer than ten users, or of no
    resamples.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def above_zero(self) -> bool:
        """Whether all of the interval is above 0."""
        return self.low is not None and self.low > 0


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Samples of neighbouring scores: what was predicted of them, and the share of positives among them."""

    samples: int
    score_low: float
    score_high: float
    predicted: float
    observed: float


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The samples of one range of history lengths or ages, judged by themselves."""

    name: str
    samples: int
    users: int
    users_counted: int
    clicks: int
    gauc: Interval
    auc: Interval


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model on a part.

    Attributes:
        gauc: Mean of users' AUCs, weighted by samples, ties as half, over the whole set.
        auc: Of the whole set, ties as half.
        log_loss: Nats a sample.
        calibration: Predicted / observed positives.
        samples: Samples.
        users: Their users.
        users_counted: Users with both classes: those that GAUC is about.
        clicks: Positives.
        reliability: Ten bins of about equal numbers of samples, by rising score; equal scores share a bin.
        by_length: By length of the window, behaviours; ranges without samples are left out.
        by_age: By median age of the retrieved behaviours, likewise.
        rounds: Resamples behind the intervals; 0 = there are none.
        seed: Of the resamples.

    """

    gauc: Interval
    auc: Interval
    log_loss: Interval
    calibration: Interval
    samples: int
    users: int
    users_counted: int
    clicks: int
    reliability: tuple[Bin, ...]
    by_length: tuple[Bucket, ...]
    by_age: tuple[Bucket, ...]
    rounds: int
    seed: int

    def to_json(self) -> bytes:
        """UTF-8 JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def from_json(cls, text: bytes | str) -> Report:
        """Read `to_json`'s text. Raises `EvaluationError`."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"not a report: {error}; write it with Report.to_json"
            raise EvaluationError(msg) from error

    def save(self, path: Path) -> None:
        """Write the JSON."""
        path.write_bytes(self.to_json())
