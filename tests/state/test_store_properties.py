"""The store against the plain model: whatever is cut, replayed, reopened or erased, reads are the same."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from muse_stream.state import segments
from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, USERS, between, cuts, dump, logs, thorough
from tests.state.model import Model, same

rules_drawn = st.builds(Rules, cap=st.sampled_from([1, 3, 8, 1000]), duplicate_window=st.sampled_from([0, 1, 3, 100]))
SMALL = StoreBudget(block_cache_bytes=2**20, write_buffer_bytes=2**22, tail_users=2)
ROOMY = StoreBudget(block_cache_bytes=2**20, write_buffer_bytes=2**22)


@contextmanager
def workplace(chunk_rows: int) -> Iterator[Path]:
    """A directory, and chunks small enough that short logs merge and trim."""
    with tempfile.TemporaryDirectory() as path, mock.patch.object(segments, "CHUNK_ROWS", chunk_rows):
        yield Path(path)


def check(store: BehaviourStore, model: Model, last: int) -> None:
    assert (store.position, store.watermark_ms) == (model.position, model.watermark_ms)
    with store.moment() as moment:
        assert (moment.position, moment.watermark_ms) == (model.position, model.watermark_ms)
        for user in [*USERS, 99]:
            assert same(moment.sequence(user), model.sequence(user)), user
            assert same(moment.sequence(user, last), model.sequence(user, last)), user
        assert moment.users().tolist() == sorted(model.following)


@thorough
@given(st.data(), logs(), rules_drawn, st.integers(2, 9))
def test_reads_equal_the_model_after_every_append(
    data: st.DataObject, log: BehaviourBatch, rules: Rules, chunk_rows: int
) -> None:
    ends = data.draw(cuts(log))
    with workplace(chunk_rows) as path:
        store = BehaviourStore.open(path, IDENTITY, rules, budget=SMALL)
        model = Model(rules)
        for end in ends:
            begin = data.draw(st.integers(0, store.position), label="replayed from")
            store.append(between(log, begin, end), position=end, begin=begin)
            model.feed(between(log, begin, end), end)
            check(store, model, data.draw(st.integers(0, 9), label="last"))
            if data.draw(st.booleans(), label="reopen"):
                store.close()
                store = BehaviourStore.open(path, IDENTITY, rules, budget=SMALL)
                check(store, model, 2)
        store.close()


@thorough
@given(st.data(), logs(), rules_drawn, st.integers(2, 9))
def test_same_batches_give_the_same_bytes_whatever_memory_knew(
    data: st.DataObject, log: BehaviourBatch, rules: Rules, chunk_rows: int
) -> None:
    ends = data.draw(cuts(log))
    with workplace(chunk_rows) as path:
        steady = BehaviourStore.open(path / "steady", IDENTITY, rules, budget=ROOMY)
        shaken = BehaviourStore.open(path / "shaken", IDENTITY, rules, budget=SMALL)
        for begin, end in zip([0, *ends], ends, strict=False):
            steady.append(between(log, begin, end), position=end)
            shaken.append(between(log, 0, end), position=end)
            if data.draw(st.booleans(), label="reopen"):
                shaken.close()
                shaken = BehaviourStore.open(path / "shaken", IDENTITY, rules, budget=SMALL)
        steady.close()
        shaken.close()
        assert dump(path / "steady") == dump(path / "shaken")


@thorough
@given(st.data(), logs(), st.integers(2, 9))
def test_changed_rules_hold_from_their_position_on(data: st.DataObject, log: BehaviourBatch, chunk_rows: int) -> None:
    ends = data.draw(cuts(log))
    with workplace(chunk_rows) as path:
        model = Model(data.draw(rules_drawn))
        for end in ends:
            store = BehaviourStore.open(path, IDENTITY, model.rules, budget=ROOMY)
            check(store, model, 2)
            store.append(between(log, store.position, end), position=end)
            model.feed(between(log, model.position, end), end)
            check(store, model, 2)
            assert store.rule_changes[-1].rules == model.rules
            store.close()
            model.change_rules(data.draw(rules_drawn))


@thorough
@given(st.data(), logs(), rules_drawn)
def test_appended_rows_continue_what_a_cache_holds(data: st.DataObject, log: BehaviourBatch, rules: Rules) -> None:
    ends = data.draw(cuts(log))
    with workplace(4) as path:
        store = BehaviourStore.open(path, IDENTITY, rules, budget=ROOMY)
        cache: dict[int, tuple[int, list[object]]] = {}
        for end in ends:
            done = store.append(between(log, store.position, end), position=end)
            for user in done.erased.tolist():
                cache.pop(user, None)
            for place, (user, start) in enumerate(zip(done.users.tolist(), done.starts.tolist(), strict=True)):
                rows = done.behaviours[done.bounds[place] : done.bounds[place + 1]].tolist()
                before, held = cache.get(user, (start, []))
                held = held if before + len(held) == start else []
                rows = (held + rows)[-rules.cap :]
                cache[user] = (
                    start + len(done.behaviours[done.bounds[place] : done.bounds[place + 1]]) - len(rows),
                    rows,
                )
        for user, (start, rows) in cache.items():
            found = store.sequence(user)
            assert (found.start, found.rows.tolist()) == (start, rows)
        store.close()
