"""Histories read on from what is known: always what a whole read gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.cursor import Cursor
from muse_stream.state.errors import DamagedStoreError
from muse_stream.state.keys import segment_key
from muse_stream.state.remembered import Remembered
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore

USER = 7


def append(store: BehaviourStore, count: int, *, erase: bool = False, arrived_ms: int = 1_000_000) -> None:
    """Let the user behave `count` times, after an erasure if so."""
    rows, offset = count + erase, store.position
    first = np.arange(rows) == 0
    batch = BehaviourBatch(
        user=np.full(rows, USER, np.int64),
        item=offset + 1 + np.arange(rows),
        time_ms=np.full(rows, arrived_ms, np.int64),
        action=np.full(rows, 1, np.uint8),
        category=np.zeros(rows, np.int64),
        event_id=np.zeros(rows, np.uint64),
        broker_time_ms=np.full(rows, arrived_ms, np.int64),
        offset=offset + np.arange(rows),
        erase=first & erase,
    )
    if rows:
        store.append(batch, position=offset + rows)


def opened(path: Path, **rules: Any) -> BehaviourStore:
    return BehaviourStore.open(path, StoreIdentity("c", "t", 0, 1), Rules(**rules))


STEPS = st.lists(
    st.one_of(
        st.integers(0, 300).map(lambda count: ("append", count)),
        st.integers(0, 5).map(lambda count: ("erase", count)),
        st.integers(1, 40).map(lambda seconds: ("wait", seconds)),
        st.just(("forget", 0)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, cap=st.sampled_from([20, 300, 100_000]), ttl=st.sampled_from([None, 60]))
def test_what_is_known_changes_no_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], cap: int, ttl: int | None
) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "s", cap=cap, ttl_seconds=ttl)
    known, now_ms, given = Remembered(), 1_000_000, []
    for step, number in steps:
        if step == "wait":
            now_ms += number * 1_000
        elif step == "forget":
            known = Remembered()
        else:
            append(store, number, erase=step == "erase", arrived_ms=now_ms)
        last = number if step == "wait" else None
        with store.moment() as moment:
            found, whole = moment.sequence(USER, last, known=known), moment.sequence(USER, last)
        assert found.start == whole.start
        np.testing.assert_array_equal(found.rows, whole.rows)
        given.append((found, whole))
    for found, whole in given:
        np.testing.assert_array_equal(found.rows, whole.rows, "a sequence given out has changed")
    store.close()


def test_only_what_came_since_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, known, values = opened(tmp_path / "s"), Remembered(), Cursor.values
    read: list[int] = []

    def counted(cursor: Cursor, first: bytes, last: bytes) -> list[bytes]:
        found = values(cursor, first, last)
        read.append(len(found))
        return found

    monkeypatch.setattr(Cursor, "values", counted)
    for _ in range(3):
        for _ in range(5):
            append(store, 300)
        with store.moment() as moment:
            moment.sequence(USER, known=known)
        with store.moment() as moment:
            assert len(moment.sequence(USER, known=known)) == known.stop
    assert read == [5, 5, 5], "the first read, and what came before each later one; nothing for the reads again"
    store.close()


def test_a_hole_behind_what_is_known_is_damage(tmp_path: Path) -> None:
    store, known = opened(tmp_path / "s"), Remembered()
    append(store, 300)
    with store.moment() as moment:
        moment.sequence(USER, known=known)
    append(store, 300)
    append(store, 300)
    store._database.db.delete(segment_key(USER, 300))
    with store.moment() as moment, pytest.raises(DamagedStoreError, match="600 behaviours"):
        moment.sequence(USER, known=known)
    store.close()


def test_rows_that_are_not_live_any_more_are_let_go(tmp_path: Path) -> None:
    store, known = opened(tmp_path / "s", cap=300), Remembered()
    for _ in range(20):
        append(store, 300)
        with store.moment() as moment:
            assert len(moment.sequence(USER, known=known)) == 300
    assert known.nbytes < 3 * 300 * 29
    store.close()
