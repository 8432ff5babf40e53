"""Which partitions a worker may answer for, between Faust's assignment and ingest's copies."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, cast

from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.status import PartitionState, Phase
from muse_stream.streams.worker.copies import OwnedCopies


class Ingest:
    """Takes an assignment when told to; its copy of partition 0 says READY all the time, as one kept from before."""

    def __init__(self) -> None:
        self.pending: list[Future[None]] = []
        self.noted = 0

    def assign(self, partitions: Iterable[int]) -> "Future[None]":
        self.pending.append(Future())
        return self.pending[-1]

    def state(self, partition: int) -> PartitionState | None:
        return {0: PartitionState(0, serving=True, phase=Phase.READY)}.get(partition)

    def note_request(self) -> None:
        self.noted += 1


def copies(ingest: Ingest, *, items_ready: bool = True) -> OwnedCopies:
    return OwnedCopies(cast("IngestService", cast("Any", ingest)), lambda: items_ready)


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
