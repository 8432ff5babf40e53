"""Histories, vectors and searches behind one lock: a device that fails or has no room troubles nobody."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import Wanted
from muse_stream.gsu_engine.cuda.residence import Residence
from muse_stream.gsu_engine.stats import Elsewhere
from tests.gsu_engine.cuda.stand_in import CountingDevice, StandInBackend, StandInSearch
from tests.gsu_engine.oracle import assert_identical
from tests.gsu_engine.worlds import draw_vectors

DIMENSION, CAP, LENGTH = 64, 2_000, 700


class Parts:
    """A residence with users 1 and 2, and all that it is made of."""

    def __init__(self, pages: int = 20) -> None:
        self.table = VectorTable("v1", DIMENSION, ItemIndex(max_items=1_000), budget_bytes=1 << 16)
        self.table.put(np.arange(1, 41), draw_vectors(np.random.default_rng(0), "full", 40, DIMENSION))
        backend = StandInBackend(ReferenceBackend(), pages)
        self.residence: Residence = backend.residence(self.table, CAP, None)
        self.device: CountingDevice = backend.devices[0]
        self.searching: StandInSearch = backend.searches[0]
        self.histories = backend.histories[0]
        self.items = {user: np.random.default_rng(user).integers(1, 60, LENGTH) for user in (1, 2, 3)}
        for user in (1, 2):
            assert self.enter(user) is None

    def enter(self, user: int) -> Elsewhere | None:
        departures = self.residence.departures
        slots = self.table.index.slots(self.items[user], create=True)
        return self.residence.enter(user, 0, slots, departures=departures)

    def append(self) -> bool:
        departures = self.residence.departures
        slots = self.table.index.slots(np.array([7, 8]), create=True)
        who, starts = np.array([1, 2]), np.array([LENGTH, LENGTH])
        return self.residence.append(who, starts, np.array([0, 1, 2]), slots, departures=departures)

    def batch(self, users: list[int], stops: list[int], candidates: list[int]) -> SearchBatch:
        total = sum(candidates)
        vectors, norms = self.table.lookup(np.arange(total) % 40 + 1)
        bounds = np.concatenate(([0], np.cumsum(candidates))).astype(np.int64)
        starts = np.zeros(len(users), np.int64)
        return SearchBatch(np.array(users), starts, np.array(stops), bounds, vectors, norms)

    def start(self, users: list[int], stops: list[int], candidates: list[int]) -> Any:
        with self.table.index.shared():
            return self.residence.start(self.batch(users, stops, candidates), None, Wanted(5, 3))


def test_pairs_that_are_held_are_asked_and_those_without_candidates_need_nothing() -> None:
    parts = Parts()
    started = parts.start([1, 3, 2, 2, 1], [LENGTH, 5, LENGTH, LENGTH + 1, 0], [2, 2, 0, 1, 3])
    assert started.found.tolist() == [True, False, True, False, False]
    assert started.asked.tolist() == [True, False, False, False, False]
    found = parts.residence.wait(started.running)
    assert found is not None

    class Source:
        def items(self, user: int) -> tuple[int, I64]:
            return 0, parts.items[user]

    definition = GsuEngine(parts.table, backend="reference", pool_bytes=1 << 16)
    assert_identical(found, definition.search(parts.batch([1], [LENGTH], [2]), 5, 3, Source()))
    launches = len(parts.device.launches)
    assert parts.start([1, 2], [LENGTH, LENGTH], [0, 0]).running is None
    assert parts.start([], [], []).running is None
    assert len(parts.device.launches) == launches, "the vectors are not asked for where nothing is searched"


def test_why_a_user_does_not_enter() -> None:
    parts = Parts(pages=3)
    long = np.ones(CAP, np.uint32)
    assert parts.residence.enter(9, 0, long, departures=parts.residence.departures) is Elsewhere.NO_ROOM
    before = parts.residence.departures
    parts.residence.drop(np.array([1]))
    assert parts.residence.enter(9, 0, long[:5], departures=before) is Elsewhere.LEFT
    parts.device._memory_bytes = 0
    parts.histories._parcel._buffer = None
    assert parts.enter(3) is Elsewhere.MEMORY
    assert not parts.residence.resident(np.array([3])).any()
    parts.device.fail_after(0)
    assert parts.enter(3) is Elsewhere.LOST


def test_an_append_without_memory_makes_its_users_leave() -> None:
    parts = Parts()
    parts.device._memory_bytes = 0
    parts.histories._parcel._buffer = None
    assert parts.append()
    assert not parts.residence.resident(np.array([1, 2])).any()
    assert parts.residence.lost is None


def test_vectors_without_room_are_a_matter_of_memory() -> None:
    parts = Parts()
    parts.device._memory_bytes = 0
    started = parts.start([1, 3], [LENGTH, 1], [1, 1])
    assert (started.running, started.why_not) == (None, Elsewhere.MEMORY)
    assert not started.found.any()
    assert parts.residence.lost is None


CALLS: list[Callable[[Parts], object]] = [
    Parts.append,
    lambda parts: parts.enter(3),
    lambda parts: parts.start([1], [LENGTH], [1]),
    lambda parts: parts.residence.slots_of(1, 0, 5),
]


@pytest.mark.parametrize("lose", CALLS)
def test_once_lost_every_call_says_that_there_is_nothing(lose: Callable[[Parts], object]) -> None:
    parts = Parts()
    parts.device.fail_after(0)
    lose(parts)
    residence, users = parts.residence, np.array([1, 2])
    assert residence.lost == "the test took the device away"
    steps = parts.device.steps
    assert parts.append()
    residence.drop(users)
    residence.clear()
    assert parts.enter(3) is Elsewhere.LOST
    assert not residence.resident(users).any()
    assert not residence.covers(users, np.array([0, 0]), np.array([1, 1])).any()
    assert [len(column) for column in residence.spans()] == [0, 0, 0]
    assert residence.slots_of(1, 0, 1) is None
    started = parts.start([1, 2], [1, 1], [1, 1])
    assert (started.running, started.why_not, started.found.any()) == (None, Elsewhere.LOST, False)
    histories, vector_bytes, _ = residence.stats()
    assert (histories.users, histories.bytes, vector_bytes) == (0, 0, 0)
    assert parts.searching.forgot == 1
    assert parts.device.steps == steps, "a lost device is left alone"


def test_lost_while_it_is_waited_for() -> None:
    parts = Parts()
    started = parts.start([1], [LENGTH], [1])
    parts.device.fail_after(0)
    assert parts.residence.wait(started.running) is None
    assert parts.residence.lost is not None


def test_appends_go_on_while_a_search_is_waited_for() -> None:
    parts = Parts()
    waiting, release = threading.Event(), threading.Event()

    class Slow:
        def wait(self) -> Any:
            waiting.set()
            assert release.wait(20)

    thread = threading.Thread(target=parts.residence.wait, args=(Slow(),))
    thread.start()
    assert waiting.wait(20)
    assert parts.append()
    assert parts.residence.spans()[2].tolist() == [LENGTH + 1, LENGTH + 1]
    assert parts.residence.lost is None
    release.set()
    thread.join(20)
    assert parts.residence.wait_seconds > 0
