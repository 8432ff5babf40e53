"""The store's parts alone: key order, tail cache, duplicate window."""

import random
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Options, Rdict, WriteBatch

from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.cursor import Cursor
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.keys import segment_key, segment_keys, split_segment_key
from muse_stream.state.rules import RuleChange, Rules, pack_rules, unpack_rules
from muse_stream.state.tails import Tails
from tests.state.logs import batch_of, thorough

ids = st.integers(-(2**63), 2**63 - 1)
places = st.tuples(ids, st.integers(0, 2**63 - 1))


def test_a_stored_behaviour_is_29_bytes() -> None:
    row = np.array([(1, 2, 3, -1, 4)], BEHAVIOUR)
    assert row.tobytes() == bytes([1, *[0] * 7, 2, *[0] * 7, 3, *[255] * 8, 4, 0, 0, 0])


@thorough
@given(places, places)
def test_key_order_is_user_then_start(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (segment_key(*one) < segment_key(*other)) == (one < other)
    assert split_segment_key(segment_key(*one)) == one


@thorough
@given(st.lists(places))
def test_keys_at_once_equal_keys_one_by_one(pairs: list[tuple[int, int]]) -> None:
    users, starts = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    assert segment_keys(users, starts) == [segment_key(*pair) for pair in pairs]


def test_rules_survive_their_packing() -> None:
    changes = [RuleChange(0, Rules()), RuleChange(70, Rules(cap=5, duplicate_window=0))]
    assert unpack_rules(pack_rules(changes)) == changes


def test_tails_answer_right_or_not_at_all_and_stay_bounded() -> None:
    chance = random.Random(3)
    tails, written = Tails(limit=50, complete=True), {}
    for _ in range(400):
        users = np.array(chance.sample(range(-200, 200), 20), np.int64)
        values = np.array([[chance.randrange(10**12) for _ in users] for _ in range(3)], np.int64)
        tails.store(users, values)
        written.update({user: values[:, place].tolist() for place, user in enumerate(users.tolist())})
        asked = np.array(chance.sample(range(-250, 250), 60), np.int64)
        found, known = tails.lookup(asked)
        for place in np.flatnonzero(known):
            assert found[:, place].tolist() == written[int(asked[place])]
        assert not found[:, ~known].any()
        assert len(tails) <= 100
        assert tails.lookup(users)[1].all()
    assert not tails.complete


def test_tails_are_complete_until_one_is_let_go() -> None:
    tails = Tails(limit=2, complete=True)
    for user in (1, 2, 3, 4):
        tails.store(np.array([user]), np.ones((3, 1), np.int64))
    assert tails.complete
    assert tails.lookup(np.arange(1, 5))[1].all()
    tails.store(np.array([5]), np.ones((3, 1), np.int64))
    assert not tails.complete


pairs_drawn = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)), max_size=200)


@thorough
@given(pairs_drawn, st.sampled_from([1, 2, 5, 17]), st.randoms(use_true_random=False))
def test_the_window_in_memory_and_reloaded(pairs: list[tuple[int, int]], size: int, chance: random.Random) -> None:
    seen: list[tuple[int, int]] = []
    window = DuplicateWindow(size)
    db = _MemoryDb()
    at = 0
    while at < len(pairs):
        part = pairs[at : at + chance.randint(1, 9)]
        at += len(part)
        keep, kept = window.admit(batch_of([{"user": user, "event_id": event} for user, event in part]))
        for pair, kept_here in zip(part, keep.tolist(), strict=True):
            assert kept_here == (not pair[1] or pair not in seen)
            seen = [*seen, pair][-size:] if pair[1] and kept_here else seen
        window.write(kept, db)  # type: ignore[arg-type]
        assert len(window) == len(seen)
        if chance.random() < 0.3:
            window = db.reload(size)
    assert sum(map(len, db.held.values())) // 16 < size + 9


class _MemoryDb:
    """The put and delete of a write batch, and the items of a cursor, over a dict."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes) -> None:
        self.held[key] = value

    def delete(self, key: bytes) -> None:
        del self.held[key]

    def items(self, *_: bytes) -> list[tuple[bytes, bytes]]:
        return sorted(self.held.items())

    def reload(self, size: int) -> DuplicateWindow:
        return DuplicateWindow.load(self, size)  # type: ignore[arg-type]


def test_the_window_is_found_again_in_a_real_database(tmp_path: Path) -> None:
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    window, out = DuplicateWindow(3), WriteBatch(raw_mode=True)
    batch = batch_of([{"user": 1, "event_id": 2**64 - place} for place in range(1, 5)])
    window.write(window.admit(batch)[1], out)
    db.write(out)
    with Cursor(tmp_path, db) as cursor:
        every, last = DuplicateWindow.load(cursor, 3), DuplicateWindow.load(cursor, 3)
    keep, _ = every.admit(batch)
    assert keep.tolist() == [True, True, True, True]
    keep, _ = last.admit(batch.rows(1, 4))
    assert keep.tolist() == [False, False, False]
    db.close()
