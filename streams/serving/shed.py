"""Requests that are not computed because there is too much to do: why, and what to say.

Invariant: a request is shed on arrival if it can be known then that it would begin too late; `expired` counts those of
which it was not known. Nothing is shed while nobody else waits or runs, so a wrong prediction is always measured again.
"""

from enum import StrEnum
from typing import Protocol


class ShedReason(StrEnum):
    """Label values of `muse_requests_shed_total`."""

    QUEUE_FULL = "queue_full"  # on arrival
    PREDICTED_LATE = "predicted_late"  # on arrival
    PREFETCH = "prefetch"  # on arrival, or when its turn came: too late to be of use
    EXPIRED = "expired"  # its deadline passed while it waited


class OverdueStage(StrEnum):
    """Where a deadline passed: label values of `muse_requests_deadline_exceeded_total`."""

    ARRIVAL = "arrival"  # before the request was read
    QUEUE = "queue"  # while it waited for a pass
    ANSWER = "answer"  # in its pass: it was answered all the same


class Watch(Protocol):
    """Who counts."""

    def passed(self, requests: int, seconds: float, predicted_seconds: float) -> None:
        """One pass is over."""

    def shed(self, reason: str) -> None:
        """A request was not computed."""

    def overdue(self, stage: str) -> None:
        """A deadline has passed."""


class NobodyWatches:
    """Counts nothing."""

    def passed(self, requests: int, seconds: float, predicted_seconds: float) -> None:
        """One pass is over."""

    def shed(self, reason: str) -> None:
        """A request was not computed."""

    def overdue(self, stage: str) -> None:
        """A deadline has passed."""


NOBODY: Watch = NobodyWatches()


class ShedError(Exception):
    """The item is not computed. `retry_after_ms`: when it would have been taken, as far as can be said now."""

    def __init__(self, message: str, retry_after_ms: float) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class QueueFullError(ShedError):
    """More items wait than `queue_max`."""


class LateError(ShedError):
    """Its turn would come after its deadline."""


class ExpiredError(Exception):
    """Its deadline passed while it waited for its turn."""
