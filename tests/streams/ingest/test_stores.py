import threading
from dataclasses import dataclass

import pytest

from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.ingest.stores import StoreMap


@dataclass
class Closes:
    closed: bool = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@pytest.fixture
def stores() -> StoreMap[Closes]:
    return StoreMap()


def test_a_store_without_readers_closes_at_once(stores: StoreMap[Closes]) -> None:
    store = stores.open(3, Closes)
    stores.retire(3)
    assert store.closed
    assert stores.partitions() == []


def test_a_partition_that_is_not_here_names_those_that_are(stores: StoreMap[Closes]) -> None:
    stores.open(3, Closes)
    with pytest.raises(PartitionNotHereError, match=r"partition 4 .* \[3\]"), stores.lease(4):
        pass


def test_a_reader_keeps_the_store_open_and_closes_it_when_it_leaves(stores: StoreMap[Closes]) -> None:
    store = stores.open(0, Closes)
    with stores.lease(0) as first, stores.lease(0) as second:
        stores.retire(0)
        assert first is second is store
        assert not store.closed
        with pytest.raises(PartitionNotHereError), stores.lease(0):
            pass
    assert store.closed


def test_a_partition_that_comes_back_gets_the_store_that_is_still_read(stores: StoreMap[Closes]) -> None:
    store = stores.open(0, Closes)
    with stores.lease(0):
        stores.retire(0)
        assert stores.open(0, Closes) is store
    assert not store.closed
    assert stores.partitions() == [0]


def test_a_broken_store_is_opened_anew_after_its_readers_left(stores: StoreMap[Closes]) -> None:
    store = stores.open(0, Closes)
    reopened: list[Closes] = []
    opener = threading.Thread(target=lambda: reopened.append(stores.open(0, Closes)))
    with stores.lease(0):
        stores.retire(0, broken=True)
        opener.start()
        assert not reopened
    opener.join(10)
    assert store.closed
    assert reopened[0] is not store
    assert not reopened[0].closed


def test_a_store_that_does_not_open_leaves_nothing_behind(stores: StoreMap[Closes]) -> None:
    def fails() -> Closes:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any
        stores.open(0, fails)
    assert stores.partitions() == []
    assert not stores.open(0, Closes).closed


def test_readers_in_many_threads_never_see_a_closed_store(stores: StoreMap[Closes]) -> None:
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                with stores.lease(0) as store:
                    seen.append(store.closed)
            except PartitionNotHereError:
                continue

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        stores.open(0, Closes)
        stores.retire(0)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not any(seen)
