"""What a verification found: counts, and every mismatch with what is needed to look at it again.

Invariant: `computed` is `compared` and `not_rebuildable` together; a mismatch that is not listed is counted too.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from muse_stream.streams.verify.compare import Difference, Verdict
from muse_stream.streams.verify.reasons import Unknown

SHOWN_MAX = 100
"""Mismatches that the report itself lists; a file (`--out`) has all of them."""


class Mismatch(msgspec.Struct, kw_only=True):
    """One difference of one answer."""

    request_id: str | None
    user: str | None
    behaviours: tuple[int, int]  # partition and offset
    users: int
    items: int
    space: str | None
    model: str | None  # digest
    what: str
    where: str
    expected: Any
    found: Any
    near_step: bool = False


class Counts(msgspec.Struct):
    """One part of the answers."""

    compared: int = 0
    mismatched: int = 0


class Report(msgspec.Struct, kw_only=True):
    """What was compared and what was found."""

    answers: int = 0  # records of the scores log that are answers
    unreadable: int = 0
    skipped: int = 0  # not asked for
    not_computed: dict[str, int] = {}  # by status
    computed: int = 0
    compared: int = 0
    share_compared: float = 0.0  # of those computed
    not_rebuildable: dict[str, int] = {}
    window: Counts = msgspec.field(default_factory=Counts)
    retrieval: Counts = msgspec.field(default_factory=Counts)
    scores: Counts = msgspec.field(default_factory=Counts)
    candidates: int = 0  # of the answers compared
    model_not_here: dict[str, int] = {}  # answers with scores that were not compared, by digest
    near_step: int = 0  # scores that differ where the network is at a step
    mismatched: int = 0  # answers
    mismatches: list[Mismatch] = []  # the first of them
    vectors_without_room: int = 0
    seconds: float = 0.0
    answers_per_second: float = 0.0

    def left_out(self, reason: Unknown) -> None:
        """Count an answer that cannot be rebuilt."""
        self.computed += 1
        self.not_rebuildable[reason.value] = self.not_rebuildable.get(reason.value, 0) + 1

    def add(self, verdict: Verdict) -> list[Mismatch]:
        """Count an answer; its mismatches, those near the step included."""
        self.computed += 1
        self.compared += 1
        self.candidates += len(verdict.exchange.request.items)
        wrong = verdict.mismatched()
        self.mismatched += bool(wrong)
        for what in verdict.compared | wrong:
            counts: Counts = getattr(self, what)
            counts.compared += 1
            counts.mismatched += what in wrong
        if verdict.model_unknown:
            digest = verdict.exchange.digest or ""
            self.model_not_here[digest] = self.model_not_here.get(digest, 0) + 1
        self.near_step += len(verdict.near_step)
        found = list(mismatches(verdict))
        self.mismatches += found[: SHOWN_MAX - len(self.mismatches)]
        return found

    def finish(self, seconds: float) -> None:
        """Fill in what follows from the counts."""
        self.share_compared = self.compared / self.computed if self.computed else 0.0
        self.seconds = round(seconds, 3)
        self.answers_per_second = round(self.compared / max(1e-9, seconds), 1)


def mismatches(verdict: Verdict) -> Iterator[Mismatch]:
    """The differences of one answer, those near the step last."""
    for difference in verdict.differences:
        yield _mismatch(verdict, difference, near_step=False)
    for difference in verdict.near_step:
        yield _mismatch(verdict, difference, near_step=True)


def _mismatch(verdict: Verdict, difference: Difference, *, near_step: bool) -> Mismatch:
    exchange = verdict.exchange
    return Mismatch(
        request_id=exchange.answer.request_id,
        user=exchange.answer.user,
        behaviours=(exchange.positions.behaviours.partition, exchange.positions.behaviours.offset),
        users=exchange.positions.users,
        items=exchange.positions.items,
        space=exchange.answer.space,
        model=exchange.digest,
        what=difference.what,
        where=difference.where,
        expected=difference.expected,
        found=difference.found,
        near_step=near_step,
    )
