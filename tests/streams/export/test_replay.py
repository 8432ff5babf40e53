"""Samples against their definition; plants in the future; what cannot be known."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.state.rules import Rules
from muse_stream.streams.export import tape
from muse_stream.streams.export.past import Horizon
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.ids import Id, id_of
from tests.streams.export import definition
from tests.streams.export.logs import START_MS, Logs, mixed, partition_of, run, settings_of, shown, vector

USERS: list[Id] = [1, 2, 3, "anna", "bert", "nobody"]
RULES = Rules(cap=6, duplicate_window=4, ttl_seconds=9)


def strict(rules: Rules = RULES) -> Any:
    more = {"state.cap": rules.cap, "state.duplicate_window": rules.duplicate_window}
    return settings_of(**more, **{"state.ttl_seconds": rules.ttl_seconds})


def assert_as_defined(logs: Logs, ran: Any, rules: Rules) -> None:
    assert ran.left_out == {}
    shows = ran.impressions
    for number, sample in ran.samples.items():
        at = number - 1
        given = shows.positions[at].tolist() if shows.positions is not None else (None,) * 3
        where = (int(shows.partition[at]), int(shows.user[at]), int(shows.item[at]), int(shows.time_ms[at]))
        expected = definition.sample(logs, where, rules, given)
        assert {name: sample[name] for name in expected} == expected
        assert sample["label"] == shows.label[at]
    assert len(ran.samples) == len(shows)


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_samples_are_as_defined_by_times(seed: int) -> None:
    logs, dice = mixed(seed), random.Random(seed)
    last = max(one.broker_time_ms for log in logs.records.values() for one in log)
    times = [
        dice.choice(log).broker_time_ms + dice.choice([-1, 0, 0, 1]) for log in logs.records.values() for _ in "12"
    ]
    rows = [(dice.choice(USERS), dice.randint(1, 13), dice.choice([*times, START_MS, last + 5])) for _ in range(14)]
    assert_as_defined(logs, run(logs, shown(rows), strict()), RULES)


@given(st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_samples_are_as_defined_by_positions_in_any_order(seed: int) -> None:
    logs, dice = mixed(seed), random.Random(seed)
    rows, positions = [], []
    for _ in range(10):
        user = dice.choice(USERS)
        where = [("behaviours", partition_of(user)), ("users", partition_of(user)), ("items", 0)]
        rows.append((user, dice.randint(1, 13), START_MS))
        positions.append(tuple(dice.randint(0, len(logs.records.get(at, []))) for at in where))
    assert_as_defined(logs, run(logs, shown(rows, positions), strict()), RULES)


def planted() -> tuple[Logs, int]:
    """A past of one user and two items, then everything else at the impression's own time."""
    logs, now = Logs(), START_MS + 5_000
    logs.item(1, START_MS, category=10, features={"brand": 100}, vector=vector(1))
    logs.item(2, START_MS, category=20, vector=vector(2))
    logs.profile(7, {"country": 1}, START_MS)
    logs.behave(7, 1, START_MS)
    logs.behave(7, 2, now - 1, time_ms=START_MS - 50_000)
    logs.behave(7, 8, now, time_ms=START_MS)
    logs.profile(7, {"country": 666}, now)
    logs.item(1, now, category=666, features={"brand": 666}, vector=vector(666))
    logs.item(2, now + 1, category=667, vector=vector(667))
    return logs, now


def assert_sees_no_plant(ran: Any) -> None:
    (sample,) = ran.samples.values()
    assert sample["history_item"] == [1, 2]
    assert (sample["user.country"], sample["category"], sample["item.brand"]) == (1, 10, 100)
    assert sample["history_category"] == [10, 20]
    cosines = dict(zip(sample["retrieved_item"], sample["retrieved_cosine"], strict=True))
    assert cosines[1] == pytest.approx(1.0, abs=1e-6)
    one, two = (vector(seed).astype(np.float64) for seed in (1, 2))
    assert cosines[2] == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-6)


def test_the_future_is_never_seen_not_even_at_the_same_millisecond() -> None:
    logs, now = planted()
    assert_sees_no_plant(run(logs, shown([(7, 1, now)])))


def test_later_impressions_change_nothing_of_earlier_ones() -> None:
    logs, now = planted()
    ran = run(logs, shown([(7, 1, now + 100), (7, 1, now), (7, 1, START_MS)]))
    alone = run(logs, shown([(7, 1, now)]))
    ours, theirs = ran.samples[2], alone.samples[1]
    assert {**ours, "row": 0, "label": 0} == {**theirs, "row": 0, "label": 0}
    assert ran.samples[1]["history_item"] == [1, 2, 8]
    assert ran.samples[1]["category"] == 666
    assert ran.samples[3]["history_item"] == []


def test_a_cut_that_lets_the_same_millisecond_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(batch: RecordBatch, low: int, stop: int, offset: int | None, time_ms: int) -> int:
        late = batch.broker_time_ms[low:stop] > time_ms
        return int(np.argmax(late)) if late.any() else stop - low

    monkeypatch.setattr(tape, "_count", lax)
    logs, now = planted()
    with pytest.raises(AssertionError):
        assert_sees_no_plant(run(logs, shown([(7, 1, now)])))


def test_items_applied_before_what_waits_is_computed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from muse_stream.streams.export.items import ItemsPast

    logs, now = planted()
    rows = [(7, 1, now), (7, 1, now + 50)]
    assert run(logs, shown(rows)).samples[1]["category"] == 10
    monkeypatch.setattr(ItemsPast, "changes_before", lambda self, moment: False)
    assert run(logs, shown(rows)).samples[1]["category"] == 666


def test_positions_count_alone_and_may_go_back() -> None:
    logs, now = planted()
    at = partition_of(7)
    ends = (len(logs.records["behaviours", at]), len(logs.records["users", at]), len(logs.records["items", 0]))
    ran = run(logs, shown([(7, 1, now)] * 3, [ends, (1, 0, 1), (2, 2, 2)]))
    assert [ran.samples[row]["history_item"] for row in (1, 2, 3)] == [[1, 2, 8], [1], [1, 2]]
    assert [ran.samples[row]["user.country"] for row in (1, 2, 3)] == [666, 0, 666]
    assert [ran.samples[row]["category"] for row in (1, 2, 3)] == [666, 10, 10]
    assert ran.samples[3]["behaviours_position"] == 2


def test_an_erasure_between_two_moments_of_a_user() -> None:
    logs = Logs()
    logs.behave(7, 1, START_MS)
    logs.erase(7, START_MS + 1)
    logs.behave(7, 2, START_MS + 2)
    logs.erase(7, START_MS + 3)
    ran = run(logs, shown([(7, 1, START_MS + after) for after in (1, 2, 3, 4)]))
    assert [ran.samples[row]["history_item"] for row in (1, 2, 3, 4)] == [[1], [], [2], []]
    assert [ran.samples[row]["window_start"] for row in (1, 2, 3, 4)] == [0, 1, 1, 2]


def test_what_cannot_be_known_is_left_out() -> None:
    logs, now = planted()
    ran = run(logs, shown([(7, 1, 10**15), (7, 1, now)]))
    assert ran.left_out == {1: "future"}
    assert list(ran.samples) == [2]
    beyond = run(logs, shown([(7, 1, now)] * 3, [(99, 0, 0), (0, 99, 0), (0, 0, 99)]))
    assert set(beyond.left_out.values()) == {"beyond_log"}
    assert beyond.samples == {}
    logs.begin["behaviours", partition_of(7)] = 1
    assert run(logs, shown([(7, 1, now)])).left_out == {1: "log_begins_later"}


@pytest.mark.parametrize(("topic", "reason"), [("users", "users_incomplete"), ("items", "items_incomplete")])
def test_what_compaction_may_have_taken_is_left_out(topic: str, reason: str) -> None:
    logs, now = planted()
    logs.hidden.add((topic, partition_of(7) if topic == "users" else 0, 0))
    never, later = Horizon(False, 0), Horizon(True, now + 10)
    horizons = {"users": never, "items": never} | {topic: later}
    assert run(logs, shown([(7, 1, now)]), horizons=horizons).left_out == {1: reason}
    assert run(logs, shown([(7, 1, now + 2)]), horizons=horizons).left_out == {}, "all that superseded it counts"
    young = horizons | {topic: Horizon(True, START_MS)}
    assert run(logs, shown([(7, 1, now)]), horizons=young).left_out == {}, "younger than the lag"


def test_a_reserved_user_is_never_exported() -> None:
    logs, now = planted()
    shows = shown([(7, 1, now), (8, 1, now)])
    shows.partition[1] = -1
    ran = run(logs, shows)
    assert ran.left_out == {2: "reserved"}
    assert list(ran.samples) == [1]


def test_an_unknown_user_and_item_are_samples_without_anything() -> None:
    logs, now = planted()
    sample = run(logs, shown([("stranger", "thing", now)])).samples[1]
    assert (sample["user"], sample["item"]) == (id_of("stranger"), id_of("thing"))
    assert (sample["history_item"], sample["retrieved_item"], sample["category"]) == ([], [], 0)
