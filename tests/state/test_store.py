"""The store's contract, one sentence at a time."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from muse_stream.state import segments
from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.errors import BatchError, PositionError, RuleError, StoreClosedError, StoreWriteError
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, batch_of, dump, hashed_log, plain_batch
from tests.state.model import Model, same


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = BehaviourStore.open(tmp_path / "store", IDENTITY, Rules(cap=1000, duplicate_window=10))
    yield opened
    opened.close()


def items(store: BehaviourStore, user: int, last: int | None = None) -> list[int]:
    found: list[int] = store.sequence(user, last).rows["item"].tolist()
    return found


def test_a_new_store_is_empty_and_begins_at_zero(store: BehaviourStore) -> None:
    assert (store.position, store.users_position, store.watermark_ms, store.start_position) == (0, 0, 0, 0)
    assert (store.sequence(1).start, items(store, 1)) == (0, [])


def test_append_groups_by_user_in_log_order(store: BehaviourStore) -> None:
    done = store.append(plain_batch([3, -5, 3, 1]), position=4)
    assert done.users.tolist() == [-5, 1, 3]
    assert done.starts.tolist() == [0, 0, 0]
    assert done.bounds.tolist() == [0, 1, 2, 4]
    assert done.behaviours["item"].tolist() == [1, 3, 0, 2]
    assert store.append(plain_batch([3], 4), position=5).starts.tolist() == [2]
    assert items(store, 3) == [0, 2, 4]
    assert items(store, 3, last=2) == [2, 4]
    assert items(store, 3, last=0) == []


def test_position_moves_without_rows(store: BehaviourStore) -> None:
    store.append(BehaviourBatch.empty(), position=17)
    assert store.position == 17


def test_replayed_rows_are_dropped_exactly(store: BehaviourStore) -> None:
    store.append(plain_batch([1, 1, 1]), position=3)
    assert len(store.append(plain_batch([1, 1, 1]), position=3).users) == 0
    assert len(store.append(plain_batch([1]), position=1).users) == 0
    done = store.append(plain_batch([1, 1, 1, 1, 1]), position=5)
    assert (done.starts.tolist(), done.behaviours["item"].tolist()) == ([3], [3, 4])
    assert items(store, 1) == [0, 1, 2, 3, 4]


def test_a_position_that_does_not_cover_its_rows_is_refused(store: BehaviourStore) -> None:
    with pytest.raises(PositionError, match="does not cover the batch's last offset 1"):
        store.append(plain_batch([1, 1]), position=1)


def test_a_hole_is_refused(store: BehaviourStore) -> None:
    with pytest.raises(PositionError, match="read from offset 5, the store needs 0"):
        store.append(plain_batch([1], 5), position=6, begin=5)
    assert store.position == 0


def test_contradicting_columns_are_refused(store: BehaviourStore) -> None:
    batch = plain_batch([1, 2])
    falling = plain_batch([1, 2])
    falling.offset[:] = [5, 4]
    with pytest.raises(BatchError, match="offsets fall"):
        store.append(falling, position=9)
    wrong = BehaviourBatch(**{**_columns(batch), "item": np.zeros(2, np.int32)})
    with pytest.raises(BatchError, match=r"column item is int32\[2\], expected int64\[2\]"):
        store.append(wrong, position=9)
    short = BehaviourBatch(**{**_columns(batch), "action": np.zeros(1, np.uint8)})
    with pytest.raises(BatchError, match="column action"):
        store.append(short, position=9)


def _columns(batch: BehaviourBatch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in BehaviourBatch.__dataclass_fields__}


def test_erasure_takes_a_place_in_the_order_and_numbers_go_on(store: BehaviourStore) -> None:
    store.append(plain_batch([1, 1]), position=2)
    rows = [{"user": 1, "offset": 2}, {"user": 1, "offset": 3, "erase": 1}, {"user": 1, "offset": 4, "item": 44}]
    done = store.append(batch_of([*rows, {"user": 2, "offset": 5, "erase": 1}]), position=6)
    assert done.erased.tolist() == [1, 2]
    assert (done.users.tolist(), done.starts.tolist(), done.behaviours["item"].tolist()) == ([1], [3], [44])
    assert (store.sequence(1).start, items(store, 1)) == (3, [44])
    store.append(batch_of([{"user": 1, "offset": 6, "erase": 1}]), position=7)
    assert (store.sequence(1).start, items(store, 1)) == (4, [])
    store.append(plain_batch([1], 7), position=8)
    assert (store.sequence(1).start, items(store, 1)) == (4, [7])


def test_an_erased_user_who_was_forgotten_in_memory_fills_a_chunk_again(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules())
    store.append(batch_of([{"user": 1, "offset": 0}, {"user": 1, "offset": 1, "erase": 1}]), position=2)
    store.close()
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules())
    for begin in (2, 202, 402, 602):
        store.append(plain_batch([1] * 200, begin), position=begin + 200)
    assert (store.sequence(1).start, items(store, 1)) == (1, list(range(2, 802)))
    assert store.stats().merges == 2
    store.close()


def test_a_duplicate_is_dropped_within_the_window_only(store: BehaviourStore) -> None:
    store.append(plain_batch([1, 1, 2], event_id=5), position=3)
    assert (items(store, 1), items(store, 2)) == ([0], [2])
    assert store.append(plain_batch([1], 3, event_id=5), position=4).duplicates == 1
    others = batch_of([{"user": 9, "offset": 4 + place, "event_id": 100 + place} for place in range(10)])
    store.append(others, position=14)
    store.append(plain_batch([1], 14, event_id=5), position=15)
    assert items(store, 1) == [0, 14]


def test_watermark_is_the_largest_broker_time(store: BehaviourStore) -> None:
    store.append(plain_batch([1], broker_time_ms=70), position=1)
    store.append(plain_batch([1], 1, broker_time_ms=60), position=2)
    assert store.watermark_ms == 70


def test_profiles_latest_wins_and_none_forgets(store: BehaviourStore) -> None:
    store.put_users(np.array([1, 2, 1]), [b"a", b"b", b"c"], position=3)
    store.put_users(np.array([1]), [b"old"], position=2)
    with store.moment() as moment:
        assert (moment.profile(1), moment.profile(2), moment.profile(3)) == (b"c", b"b", None)
        store.put_users(np.array([2]), [None], position=4)
        assert (moment.profile(2), moment.users_position) == (b"b", 3)
    with store.moment() as moment:
        assert (moment.profile(2), moment.users_position) == (None, 4)
    with pytest.raises(BatchError, match="1 users and 0 profiles"):
        store.put_users(np.array([1]), [], position=9)


def test_more_than_cap_rows_at_once(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(cap=3))
    store.append(plain_batch([1]), position=1)
    done = store.append(plain_batch([1] * 5, 1), position=6)
    assert (done.starts.tolist(), done.behaviours["item"].tolist()) == ([3], [3, 4, 5])
    assert (store.sequence(1).start, items(store, 1)) == (3, [3, 4, 5])
    store.close()


def test_chunks_merge_and_old_ones_leave_the_disk(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(cap=1000))
    for begin in range(0, 12_000, 100):
        store.append(plain_batch([7] * 100, begin), position=begin + 100)
    assert items(store, 7) == list(range(11_000, 12_000))
    assert store.stats().merges == 40
    store.close()
    held = [value for key, value in dump(tmp_path) if key[:1] == b"\x10"]
    assert 1000 <= sum(map(len, held)) / 29 <= 1000 + 300
    assert len(held) == 4


def test_a_moment_stays_what_it_was(store: BehaviourStore) -> None:
    store.append(plain_batch([1, 1], broker_time_ms=5), position=2)
    with store.moment() as moment:
        store.append(batch_of([{"user": 1, "offset": 2, "erase": 1, "broker_time_ms": 9}]), position=3)
        assert moment.sequence(1).rows["item"].tolist() == [0, 1]
        assert (moment.position, moment.watermark_ms) == (2, 5)
    with pytest.raises(StoreClosedError, match="view was closed"):
        moment.sequence(1)


def test_negative_last_is_refused(store: BehaviourStore) -> None:
    with pytest.raises(ValueError, match="last is -1"):
        store.sequence(1, last=-1)


def test_close_frees_the_directory_and_everything_then_says_closed(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules())
    moment = store.moment()
    store.close()
    store.close()
    for use in (lambda: store.sequence(1), lambda: moment.sequence(1), store.stats, store.moment):
        with pytest.raises(StoreClosedError):
            use()
    with pytest.raises(StoreClosedError):
        store.append(plain_batch([1]), position=1)
    BehaviourStore.open(tmp_path, IDENTITY, Rules()).close()


def test_an_empty_store_begins_where_it_is_told_a_read_one_keeps_its_place(tmp_path: Path) -> None:
    BehaviourStore.open(tmp_path, IDENTITY, Rules()).close()
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(), start_position=500)
    assert (store.position, store.start_position, store.rule_changes[0].offset) == (500, 500, 500)
    store.append(plain_batch([1], 500, broker_time_ms=1), position=501)
    store.close()
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(), start_position=900)
    assert (store.position, store.start_position) == (501, 500)
    store.close()


def test_rules_outside_their_bounds_are_refused() -> None:
    for wrong in ({"cap": 0}, {"duplicate_window": -1}, {"ttl_seconds": 0}):
        with pytest.raises(RuleError, match="Operator action"):
            Rules(**wrong)


def test_a_larger_cap_brings_nothing_back(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(cap=3))
    for offset, user in enumerate([1, 1, 1, 1, 1, 2]):
        store.append(plain_batch([user], offset), position=offset + 1)
    store.close()
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(cap=8))
    assert (items(store, 1), items(store, 2)) == ([2, 3, 4], [5])
    assert [change.offset for change in store.rule_changes] == [0, 6]
    store.append(plain_batch([1], 6), position=7)
    assert (store.sequence(1).start, items(store, 1)) == (2, [2, 3, 4, 6])
    store.close()


class _Refusing:
    """A database that refuses to write."""

    def __init__(self, db: Any) -> None:
        self.db = db

    def write(self, batch: Any) -> None:
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


def test_a_refused_write_changes_nothing_and_can_be_repeated(store: BehaviourStore) -> None:
    store.append(plain_batch([1], event_id=1), position=1)
    db = store._database.db
    store._database.db = cast("Any", _Refusing(db))
    with pytest.raises(StoreWriteError, match="No space left on device"):
        store.append(plain_batch([1, 1], 1, event_id=2), position=3)
    store._database.db = db
    assert store.position == 1
    done = store.append(plain_batch([1, 1], 1, event_id=2), position=3)
    assert (done.starts.tolist(), done.duplicates) == ([1], 1)
    assert items(store, 1) == [0, 1]


def test_checkpoint_is_a_store(store: BehaviourStore, tmp_path: Path) -> None:
    store.append(plain_batch([1, 2]), position=2)
    store.checkpoint(tmp_path / "copy")
    store.append(plain_batch([1], 2), position=3)
    copy = BehaviourStore.open(tmp_path / "copy", IDENTITY, store.rules)
    assert (copy.position, items(copy, 1)) == (2, [0])
    copy.close()
    with pytest.raises(StoreWriteError, match="no checkpoint"):
        store.checkpoint(tmp_path / "copy")


def test_a_reader_sees_a_store_that_is_open_elsewhere(store: BehaviourStore) -> None:
    store.append(plain_batch([4, 5]), position=2)
    with StoreReader.open(store.path) as reader:
        assert (reader.identity, reader.position, reader.start_position) == (IDENTITY, 2, 0)
        assert reader.users().tolist() == [4, 5]
        assert reader.sequence(5).rows["item"].tolist() == [1]
        assert reader.rules[-1].rules == store.rules


def test_stats_count_what_happened(store: BehaviourStore) -> None:
    store.append(plain_batch([1, 1, 2], event_id=3), position=3)
    store.append(batch_of([{"user": 1, "offset": 3, "erase": 1}]), position=4)
    stats = store.stats()
    assert (stats.position, stats.behaviours, stats.duplicates, stats.erasures) == (4, 2, 1, 1)
    assert (stats.window, stats.cached_tails, stats.put_bytes, stats.cold_tails) == (2, 2, 58, 0)


def test_a_long_log_with_chunks_of_the_real_size(tmp_path: Path) -> None:
    assert segments.CHUNK_ROWS == 256
    rules = Rules(cap=2000, duplicate_window=500)
    model = Model(rules)
    for begin in range(0, 24_000, 4000):
        budget = StoreBudget(tail_users=16)
        store = BehaviourStore.open(tmp_path, IDENTITY, rules, budget=budget)
        for at in range(begin, begin + 4000, 250):
            store.append(hashed_log(at, at + 250), position=at + 250)
        model.feed(hashed_log(begin, begin + 4000), begin + 4000)
        for user in range(40):
            assert same(store.sequence(user), model.sequence(user))
            assert same(store.sequence(user, 100), model.sequence(user, 100))
        assert store.stats().merges > 0
        store.close()


def test_what_the_cap_takes_out_of_sequences_is_counted(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, Rules(cap=3, duplicate_window=0))

    def truncated(users: list[int]) -> int:
        store.append(plain_batch(users, store.position), position=store.position + len(users))
        return store.stats().truncated

    assert truncated([1, 1, 1, 2]) == 0
    assert truncated([1, 2, 2]) == 1
    assert truncated([2, 2, 2, 2, 3]) == 5, "user 2 has had seven"
    store.append(batch_of([{"user": 1, "offset": store.position, "erase": 1}]), position=store.position + 1)
    assert store.stats().truncated == 5, "an erasure is none of it"
    assert truncated([1, 1, 1]) == 5
    assert truncated([1, 1]) == 7
    store.close()


def test_the_time_of_slow_writes_is_told_apart(store: BehaviourStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(plain_batch([1]), position=1)
    usual = store.stats().condition
    assert usual.write_seconds > 0
    assert (usual.delayed, usual.background_errors, usual.pending_compaction_bytes) == (False, 0, 0)
    write = store._database.db.write

    class Slow:
        def __init__(self, db: Any) -> None:
            self._db = db

        def write(self, out: Any) -> None:
            time.sleep(0.3)
            write(out)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._db, name)

    monkeypatch.setattr(store._database, "db", Slow(store._database.db))
    store.append(plain_batch([1], 1), position=2)
    slow = store.stats().condition
    monkeypatch.undo()
    assert slow.write_seconds - usual.write_seconds >= 0.3
    assert slow.stall_seconds - usual.stall_seconds >= 0.05
