"""Which partitions a worker may answer for, between Faust's assignment and ingest's copies."""

import asyncio
import math
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, cast

from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.status import LogState, PartitionState, Phase
from muse_stream.streams.worker.copies import OwnedCopies

NOW_MS, LATE_SECONDS_MAX = 1_700_000_000_000, 600.0


class Ingest:
    """Takes an assignment when told to; its copy of partition 0 says READY all the time, as one kept from before."""

    def __init__(self) -> None:
        self.pending: list[Future[None]] = []
        self.noted = 0
        self.complete_ms = NOW_MS

    def assign(self, partitions: Iterable[int]) -> "Future[None]":
        self.pending.append(Future())
        return self.pending[-1]

    def state(self, partition: int) -> PartitionState | None:
        log = LogState(9, 9, NOW_MS, 9, None, None, complete_ms=self.complete_ms)
        return {0: PartitionState(0, serving=True, phase=Phase.READY, logs={"behaviours": log})}.get(partition)

    def note_request(self) -> None:
        self.noted += 1


def copies(ingest: Ingest, *, items_ready: bool = True) -> OwnedCopies:
    service = cast("IngestService", cast("Any", ingest))
    return OwnedCopies(service, lambda: items_ready, late_seconds_max=LATE_SECONDS_MAX, clock=lambda: NOW_MS / 1e3)


def test_a_kept_copy_is_ready_only_once_ingest_has_taken_the_assignment() -> None:
    ingest = Ingest()
    subject = copies(ingest)
    asyncio.run(subject.assigned(frozenset({0})))
    assert subject.serves(0)
    assert not subject.ready(0)
    ingest.pending[0].set_result(None)
    assert subject.ready(0)
    assert ingest.noted == 0
    subject.note_request()
    assert ingest.noted == 1


def test_nothing_is_ready_between_two_assignments() -> None:
    ingest = Ingest()
    subject = copies(ingest)
    asyncio.run(subject.assigned(frozenset({0})))
    asyncio.run(subject.suspended())
    ingest.pending[0].set_result(None)
    assert not subject.serves(0)
    assert not subject.ready(0)
    asyncio.run(subject.assigned(frozenset({0})))
    assert not subject.ready(0), "the earlier assignment's answer says nothing of this one"
    ingest.pending[1].set_result(None)
    assert subject.ready(0)


def test_items_come_first() -> None:
    ingest = Ingest()
    subject = copies(ingest, items_ready=False)
    asyncio.run(subject.assigned(frozenset({0})))
    ingest.pending[0].set_result(None)
    assert not subject.ready(0)


def test_an_owner_s_copy_is_ready_until_it_is_later_than_the_bound() -> None:
    ingest = Ingest()
    subject = copies(ingest)
    asyncio.run(subject.assigned(frozenset({0})))
    ingest.pending[0].set_result(None)
    ingest.complete_ms = NOW_MS - 600_000
    assert subject.ready(0)
    assert subject.late_seconds(0) == 600.0
    ingest.complete_ms -= 1
    assert not subject.ready(0)
    assert subject.serves(0), "it waits for the brokers as the owner that it is"


def test_between_two_assignments_the_former_owner_stands_in_and_then_nobody_does() -> None:
    ingest = Ingest()
    subject = copies(ingest)
    assert not subject.stands_in(0)
    asyncio.run(subject.assigned(frozenset({0})))
    assert not subject.stands_in(0), "owned"
    asyncio.run(subject.suspended())
    assert subject.stands_in(0)
    asyncio.run(subject.suspended())
    assert subject.stands_in(0), "told twice"
    assert not subject.stands_in(1), "another's"
    asyncio.run(subject.assigned(frozenset({1})))
    assert not subject.stands_in(0), "another owns it now"


def test_a_worker_that_closes_stands_in_for_nobody() -> None:
    subject = copies(Ingest())
    asyncio.run(subject.assigned(frozenset({0})))
    subject.close()
    assert not subject.serves(0)
    assert not subject.stands_in(0)


def test_without_a_copy_or_items_it_is_infinitely_late() -> None:
    assert copies(Ingest()).late_seconds(0) == 0.0
    assert copies(Ingest()).late_seconds(5) == math.inf
    assert copies(Ingest(), items_ready=False).late_seconds(0) == math.inf
