"""Time to live: what is shown, under which numbers, and when it leaves the disk."""

from contextlib import closing
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from muse_stream.state import store as store_module
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.keys import BEHAVIOURS, segment_key
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import SECONDS_MAX, Rules
from muse_stream.state.store import BehaviourStore
from muse_stream.state.sweep import VISITS_MIN, Sweep
from tests.state.logs import IDENTITY, batch_of, dump, plain_batch

TTL = Rules(ttl_seconds=10)


def opened(path: Path, rules: Rules = TTL) -> BehaviourStore:
    return BehaviourStore.open(path, IDENTITY, rules)


def at(store: BehaviourStore, broker_time_ms: int, *users: int) -> None:
    """One behaviour of each user in a batch of that time; its item is its offset."""
    position = store.position
    batch = plain_batch(list(users), position, broker_time_ms=broker_time_ms)
    store.append(batch, position=position + len(users))


def shown(store: BehaviourStore, user: int) -> tuple[int, list[int]]:
    found = store.sequence(user)
    return found.start, found.rows["item"].tolist()


def on_disk(path: Path) -> dict[bytes, int]:
    """Rows per behaviours key of a closed store."""
    return {key: len(value) // 29 for key, value in dump(path) if key[:1] == BEHAVIOURS}


@pytest.mark.parametrize(("latest_ms", "alive"), [(110_999, True), (111_000, False)])
def test_it_stays_so_many_whole_seconds_and_less_than_one_more(tmp_path: Path, latest_ms: int, alive: bool) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_999, 1)
        at(store, latest_ms, 2)
        assert shown(store, 1) == ((0, [0]) if alive else (1, []))
        assert store.sequence(1, last=1).start == (0 if alive else 1)
        with closing(StoreReader.open(tmp_path)) as reader:
            assert len(reader.sequence(1)) == alive


def test_a_time_that_goes_back_does_not_make_a_behaviour_older(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, 1)
        at(store, 50_000, 1)
        at(store, 105_000, 1)
        assert store.sequence(1).rows["arrived_seconds"].tolist() == [100, 100, 105]
        at(store, 111_000, 2)
        assert shown(store, 1) == (2, [2])


def test_a_record_that_changes_nothing_moves_the_time_all_the_same(tmp_path: Path) -> None:
    with closing(opened(tmp_path, Rules(ttl_seconds=10, duplicate_window=5))) as store:
        store.append(plain_batch([1], 0, event_id=3, broker_time_ms=100_000), position=1)
        store.append(plain_batch([1], 1, event_id=3, broker_time_ms=111_000), position=2)
        assert shown(store, 1) == (1, [])


def test_what_expires_within_its_own_batch_still_takes_its_numbers(tmp_path: Path) -> None:
    times = [100_000, 100_000, 105_000, 112_000, 112_000]
    rows = [{"user": user, "offset": place, "item": place, "broker_time_ms": time}
            for place, (user, time) in enumerate(zip([1, 2, 1, 1, 3], times, strict=True))]  # fmt: skip
    with closing(opened(tmp_path)) as store:
        done = store.append(batch_of(rows), position=5)
        assert (done.users.tolist(), done.starts.tolist(), done.erased.tolist()) == ([1, 3], [1, 0], [2])
        assert done.behaviours["item"].tolist() == [2, 3, 4]
        assert (shown(store, 1), shown(store, 2)) == ((1, [2, 3]), (1, []))
        at(store, 113_000, 2)
        assert shown(store, 2) == (1, [5])


def test_a_jump_of_the_clock_makes_all_expire_and_the_log_go_on(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, 1, 1, 2)
        at(store, 2**62, 1)
        assert (shown(store, 1), shown(store, 2)) == ((2, [3]), (1, []))
        at(store, 100_001, 2)
        assert (shown(store, 1), shown(store, 2)) == ((2, [3]), (1, [4]))
        assert store.sequence(2).rows["arrived_seconds"].tolist() == [SECONDS_MAX]


@pytest.mark.parametrize("longer", [Rules(ttl_seconds=11), Rules(), Rules(cap=5), Rules(cap=5, ttl_seconds=99)])
def test_longer_rules_bring_nothing_back(tmp_path: Path, longer: Rules) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, 1, 1, 2)
        at(store, 105_000, 1)
        at(store, 111_000, 3)
    with closing(opened(tmp_path, longer)) as store:
        assert (shown(store, 1), shown(store, 2), shown(store, 3)) == ((2, [3]), (1, []), (0, [4]))
        at(store, 121_000, 2)
        assert shown(store, 2) == (1, [5])
        assert shown(store, 1) == ((3, []) if longer.ttl_seconds == 11 else (2, [3]))


def test_shorter_rules_hold_at_once_and_none_keeps_all_that_is_left(tmp_path: Path) -> None:
    with closing(opened(tmp_path, Rules())) as store:
        at(store, 100_000, 1)
        at(store, 105_000, 1)
        at(store, 112_000, 1)
        assert len(store.sequence(1)) == 3
    with closing(opened(tmp_path)) as store:
        assert shown(store, 1) == (1, [1, 2])
    with closing(opened(tmp_path, Rules(ttl_seconds=3))) as store:
        assert shown(store, 1) == (2, [2])
    with closing(opened(tmp_path, Rules())) as store:
        assert shown(store, 1) == (2, [2])
        at(store, 900_000, 1)
        assert shown(store, 1) == (2, [2, 3])


def test_idle_users_leave_the_disk_and_keep_their_numbers(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, *range(1, 501), *range(1, 501))
        for second in range(101, 130):
            at(store, second * 1_000, 9_999)
    assert {key for key, rows in on_disk(tmp_path).items() if rows} == {
        key for key in on_disk(tmp_path) if key[:9] == segment_key(9_999, 0)[:9]
    }
    with closing(opened(tmp_path)) as store:
        at(store, 130_000, 77)
        assert shown(store, 77) == (2, [1_029])


def test_a_round_goes_on_after_a_restart(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, *range(1, 301))
    for second in range(101, 125):
        with closing(opened(tmp_path)) as store:
            at(store, second * 1_000, 9_999)
    assert sum(on_disk(tmp_path).values()) == 24


def test_an_append_visits_no_more_users_than_it_has_and_a_few(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, *range(1, 2_001))
        at(store, 101_000, 1)
        visits = [Sweep.read(store._database.cursor()).visited]
        for second in (900, 901):
            at(store, second * 1_000, 1)
            visits.append(Sweep.read(store._database.cursor()).visited)
    assert max(np.diff(visits)) <= VISITS_MIN + 1
    assert visits[-1] > visits[0]


def test_a_user_of_every_batch_is_trimmed_when_a_chunk_is_full(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        for second in range(100, 400):
            at(store, second * 1_000, *[1] * 20)
        assert len(store.sequence(1)) == 11 * 20
    assert sum(on_disk(tmp_path).values()) <= 11 * 20 + 3 * 256


def test_without_a_time_to_live_nobody_is_visited(tmp_path: Path) -> None:
    with closing(opened(tmp_path, Rules())) as store:
        with mock.patch.object(Sweep, "due", side_effect=AssertionError):
            at(store, 100_000, 1)
        assert store.sequence(1).rows["arrived_seconds"].tolist() == [100]
    assert b"\x00sweep" not in dict(dump(tmp_path))


def test_a_refused_write_leaves_the_round_where_it_was(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        at(store, 100_000, 1, 2, 3)
        before = store._sweep
        with (
            mock.patch.object(store_module.BehaviourStore, "_write", side_effect=OSError("full")),
            pytest.raises(OSError, match="full"),
        ):
            store.append(plain_batch([1], 3, broker_time_ms=200_000), position=4)
        assert store._sweep == before
        store.append(BehaviourBatch.empty(), position=4)
        assert shown(store, 2) == (0, [1])
