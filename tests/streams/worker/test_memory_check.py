"""What a worker tells of its memory, and how the audit judges it: silent where both sides agree, loud otherwise."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.state.columns import Appended
from muse_stream.state.items import ItemStore
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.audit import worker as audit
from muse_stream.streams.audit.report import MemoryReport
from muse_stream.streams.demo.http import Reply
from muse_stream.streams.errors import AuditError, PartitionNotHereError
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.stores import StoreMap
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.worker import memory_check
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.simulation.plants import trim_that_forgets_the_pool
from tests.simulation.worker import StoreHistory
from tests.state.logs import batch_of
from tests.streams.wire.helpers import batch

CAP, DIMENSION = 100, 64
URL = "http://worker"


class Plane:
    """A store of partition 0 of 1, an engine beside it, and items."""

    def __init__(self, directory: Path, ttl_seconds: int | None = None, backend: str | Backend = "reference") -> None:
        identity = StoreIdentity("cluster", "behaviours", 0, 1)
        self.store = BehaviourStore.open(directory / "behaviours-0", identity, Rules(CAP, ttl_seconds=ttl_seconds))
        self.item_store = ItemStore.open(directory / "items", StoreIdentity("cluster", "items", 0, 1))
        index = ItemIndex(1_000)
        self.tables = {"v1": VectorTable("v1", DIMENSION, index, 20 * (DIMENSION + 4))}
        self.engine = GsuEngine(self.tables["v1"], cap=CAP, pool_bytes=1 << 20, backend=backend)
        rules = ItemRules(spaces={"v1": DIMENSION}, quantise=lambda rows: rows.astype(np.int8), features=())
        self.item_feed = ItemFeed(
            self.item_store, self.tables, Catalogue(index, ()), lambda records: decode_items(records, rules)
        )
        self.stores: StoreMap[BehaviourStore] = StoreMap()
        self.stores.open(0, lambda: self.store)
        self.ingest = SimpleNamespace(stores=self.stores)

    def behave(self, users: list[int], *, erase: bool = False, tell: bool = True, broker_time_ms: int = 0) -> None:
        at, same = self.store.position, {"erase": erase, "broker_time_ms": broker_time_ms}
        rows = [{"user": user, "offset": at + n, "item": at + n + 1, **same} for n, user in enumerate(users)]
        done = self.store.append(batch_of(rows), position=at + len(rows))
        if tell:
            self.tell(done)

    def tell(self, done: Appended) -> None:
        self.engine.drop(done.erased)
        self.engine.append(done.users, done.starts, done.bounds, done.behaviours["item"])

    def warm(self, user: int) -> None:
        self.engine.prefetch(user, StoreHistory(self.store))

    def vectors(self, first: int, count: int) -> None:
        """Items with a vector each."""
        items = range(first, first + count)
        values = [b'{"vector":[%s]}' % b",".join([b"%d" % (item % 100 + 1)] * DIMENSION) for item in items]
        decoded = self.item_feed.decode(batch(values, [b"%d" % item for item in items], topic="items"))
        assert not decoded.rejects
        self.item_feed.write(decoded.rows, self.item_store.position + count, self.item_store.position)

    def get(self, url: str, *, timeout_seconds: float = 0.0) -> Reply:
        """The worker's routes, without the web."""
        path, _, query = url.removeprefix(URL).partition("?after=")
        if path == "/v1/status":
            return Reply(200, {"partitions": [{"partition": 0, "phase": "ready"}, {"partition": 1, "phase": "failed"}]})
        plane: Any = self
        if path == "/v1/audit/vectors":
            return Reply(200, memory_check.vector_tables(plane))
        after = int(query) if query else None
        return Reply(200, memory_check.pool_page(plane, int(path.rsplit("/", 1)[1]), after))

    def close(self) -> None:
        self.store.close()
        self.item_store.close()


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    with closing(Plane(tmp_path)) as made:
        monkeypatch.setattr(audit, "get_json", made.get)
        yield made


def audited() -> MemoryReport:
    found = audit.audit_memory(URL)
    assert found is not None
    return found


def test_memory_that_follows_the_stores_is_equal(plane: Plane) -> None:
    plane.vectors(1, 15)
    plane.vectors(3, 4)
    plane.behave([7] * 30 + [8, 9])
    plane.warm(7)
    plane.warm(9)
    for _ in range(70):
        plane.behave([7] * 11 + [9])
    report = audited()
    assert report.ok, report.shown
    assert (report.users, report.behaviours, report.behind) == (2, CAP + 71, 0)
    assert (report.vectors, report.without_room) == (15, 0)


def test_pages_come_one_after_the_other(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "USERS_MAX", 2)
    plane.behave([1, 2, 3, 4, 5])
    for user in range(1, 6):
        plane.warm(user)
    assert audited().users == 5
    monkeypatch.setattr(memory_check, "BEHAVIOURS_MAX", 1)
    assert audited().users == 5


def test_a_user_who_is_behind_is_counted_and_not_wrong(plane: Plane) -> None:
    plane.behave([7] * 5)
    plane.warm(7)
    plane.behave([7], tell=False)
    report = audited()
    assert report.ok
    assert (report.users, report.behind) == (1, 1)


def test_other_items_are_found(plane: Plane) -> None:
    plane.behave([7] * 5)
    plane.warm(7)
    plane.engine.append(np.array([7]), np.array([5]), np.array([0, 1]), np.array([99]))
    plane.behave([7], tell=False)
    (text,) = audited().shown
    assert "other items than the store" in text


def test_memory_ahead_of_the_store_is_found(plane: Plane) -> None:
    plane.behave([7] * 5)
    plane.warm(7)
    plane.engine.append(np.array([7]), np.array([5]), np.array([0, 1]), np.array([99]))
    (text,) = audited().shown
    assert "memory is ahead" in text


def test_an_erased_user_who_is_still_in_memory_is_found(plane: Plane) -> None:
    plane.behave([7] * 5)
    plane.warm(7)
    plane.behave([7], erase=True, tell=False)
    (text,) = audited().shown
    assert "an erased user is still in memory" in text


def test_what_has_expired_may_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Plane(tmp_path, ttl_seconds=10)) as plane:
        monkeypatch.setattr(audit, "get_json", plane.get)
        plane.behave([7] * 5)
        plane.warm(7)
        plane.behave([7, 8], broker_time_ms=60_000)
        plane.warm(8)
        assert audited().ok
        plane.behave([9], broker_time_ms=120_000)
        report = audited()
        assert report.ok, report.shown
        assert (report.users, report.behaviours) == (2, 0)


def test_a_trim_that_forgets_the_pool_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trim_that_forgets_the_pool(), closing(Plane(tmp_path)) as plane:
        monkeypatch.setattr(audit, "get_json", plane.get)
        plane.behave([7])
        plane.warm(7)
        for _ in range(8):
            plane.behave([7] * 90)
        (text,) = audited().shown
    assert "what was trimmed is still in memory" in text


def test_what_is_on_a_gpu_is_compared_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = StandInBackend(ReferenceBackend())
    with closing(Plane(tmp_path, backend=backend)) as plane:
        monkeypatch.setattr(audit, "get_json", plane.get)
        monkeypatch.setattr(memory_check, "USERS_MAX", 1)
        plane.behave([7] * 30 + [8, 9])
        plane.warm(7)
        plane.warm(9)
        plane.behave([7, 9])
        report = audited()
        assert report.ok, report.shown
        assert (report.users, report.behaviours) == (4, 2 * (31 + 2))
        histories = backend.histories[0]
        slots = plane.engine.index.slots(np.array([99]), create=True)
        who, at = np.array([7]), np.array([31])
        histories.append(who, at, np.array([0, 1]), slots, departures=histories.departures)
        (text,) = audited().shown
        assert "GPU memory holds behaviours 0..31, the store 0..30: memory is ahead" in text


def damage_forget(plane: Plane) -> None:
    plane.tables["v1"].forget(np.array([5]))


def damage_change(plane: Plane) -> None:
    plane.tables["v1"].put(np.array([5]), np.full((1, DIMENSION), 9, np.int8))


def damage_add(plane: Plane) -> None:
    plane.tables["v1"].put(np.array([500]), np.full((1, DIMENSION), 9, np.int8))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_forget, "1 vectors of space v1 are in the item store and not in memory"),
        (damage_change, "differ from those in the item store"),
        (damage_add, "1 vectors of space v1 are in memory and not in the item store"),
    ],
)
def test_a_wrong_table_is_found(plane: Plane, damage: Callable[[Plane], None], words: str) -> None:
    plane.vectors(1, 10)
    damage(plane)
    (text,) = audited().shown
    assert words in text


def test_vectors_beyond_the_budget_are_counted(plane: Plane) -> None:
    plane.vectors(1, 25)
    report = audited()
    assert report.ok, report.shown
    assert (report.vectors, report.without_room) == (25, 5)


def test_a_partition_that_left_is_left_out(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(url: str, *, timeout_seconds: float = 0.0) -> Reply:
        return Reply(404, {}) if "/pool/" in url else plane.get(url)

    monkeypatch.setattr(audit, "get_json", gone)
    assert audited().users == 0
    any_plane: Any = plane
    with pytest.raises(PartitionNotHereError):
        memory_check.pool_page(any_plane, 3, None)


def test_nobody_and_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "get_json", lambda url, **_: Reply(0, {}))
    assert audit.audit_memory(URL) is None
    monkeypatch.setattr(audit, "get_json", lambda url, **_: Reply(500, {"detail": "no"}))
    with pytest.raises(AuditError, match="does not tell what it has in memory: no"):
        audit.audit_memory(URL)
