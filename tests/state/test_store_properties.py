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
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, USERS, Schedule, between, dump, schedules, thorough
from tests.state.model import Model, same

rules_drawn = st.builds(
    Rules,
    cap=st.sampled_from([1, 3, 8, 1000]),
    duplicate_window=st.sampled_from([0, 1, 3, 100]),
    ttl_seconds=st.sampled_from([None, None, 1, 30, 300, 5_000]),
)
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
@given(schedules(), rules_drawn, st.integers(2, 9))
def test_reads_equal_the_model_after_every_append(schedule: Schedule, rules: Rules, chunk_rows: int) -> None:
    dice = schedule.dice
    with workplace(chunk_rows) as path:
        store = BehaviourStore.open(path, IDENTITY, rules, budget=SMALL)
        model = Model(rules)
        for end in schedule.ends:
            begin = dice.choice([store.position, dice.randint(0, store.position)])
            store.append(between(schedule.log, begin, end), position=end, begin=begin)
            model.feed(between(schedule.log, begin, end), end)
            check(store, model, dice.randint(0, 9))
            if dice.random() < 0.1:
                store.close()
                store = BehaviourStore.open(path, IDENTITY, rules, budget=SMALL)
        check(store, model, 2)
        store.close()


@thorough
@given(schedules(), rules_drawn, st.integers(2, 9))
def test_same_batches_give_the_same_bytes_whatever_memory_knew(
    schedule: Schedule, rules: Rules, chunk_rows: int
) -> None:
    with workplace(chunk_rows) as path:
        steady = BehaviourStore.open(path / "steady", IDENTITY, rules, budget=ROOMY)
        shaken = BehaviourStore.open(path / "shaken", IDENTITY, rules, budget=SMALL)
        for begin, end in zip([0, *schedule.ends], schedule.ends, strict=False):
            steady.append(between(schedule.log, begin, end), position=end)
            shaken.append(between(schedule.log, 0, end), position=end)
            if schedule.dice.random() < 0.1:
                shaken.close()
                shaken = BehaviourStore.open(path / "shaken", IDENTITY, rules, budget=SMALL)
        steady.close()
        shaken.close()
        assert dump(path / "steady") == dump(path / "shaken")


@thorough
@given(schedules(), st.lists(rules_drawn, min_size=1, max_size=5), st.integers(2, 9))
def test_changed_rules_hold_from_their_position_on(schedule: Schedule, rules: list[Rules], chunk_rows: int) -> None:
    with workplace(chunk_rows) as path:
        model = Model(rules[0])
        for place, end in enumerate([*schedule.ends[:: 1 + len(schedule.ends) // 8], schedule.ends[-1]]):
            store = BehaviourStore.open(path, IDENTITY, model.rules, budget=ROOMY)
            check(store, model, 2)
            store.append(between(schedule.log, store.position, end), position=end)
            model.feed(between(schedule.log, model.position, end), end)
            check(store, model, 2)
            assert store.rule_changes[-1].rules == model.rules
            store.close()
            model.change_rules(rules[place % len(rules)])


@thorough
@given(schedules(), rules_drawn)
def test_appended_rows_continue_what_a_cache_holds(schedule: Schedule, rules: Rules) -> None:
    with workplace(4) as path:
        store = BehaviourStore.open(path, IDENTITY, rules, budget=ROOMY)
        cache: dict[int, tuple[int, list[object]]] = {}
        for end in schedule.ends:
            done = store.append(between(schedule.log, store.position, end), position=end)
            for user in done.erased.tolist():
                cache.pop(user, None)
            for place, (user, start) in enumerate(zip(done.users.tolist(), done.starts.tolist(), strict=True)):
                new = done.behaviours[done.bounds[place] : done.bounds[place + 1]].tolist()
                before, held = cache.get(user, (start, []))
                rows = [*(held if before + len(held) == start else []), *new]
                cache[user] = (start + len(new) - len(rows[-rules.cap :]), rows[-rules.cap :])
        for user, (start, rows) in cache.items():
            found = store.sequence(user)
            expired = found.start - start if rules.ttl_seconds else 0
            assert found.start == start + expired
            assert found.rows.tolist() == rows[expired:]
        store.close()
