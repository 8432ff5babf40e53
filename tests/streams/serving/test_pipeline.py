"""The pipeline: what it finds equals the definition, on one moment, alone or in company."""

import time
from typing import Any
from unittest import mock

import numpy as np
import pytest

from muse_stream.state.errors import DamagedStoreError
from muse_stream.state.moment import Moment
from muse_stream.state.rules import Rules
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving.filters import allowed_rows
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.serving.shed import ExpiredError
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.encode import candidate_with, encode_request
from muse_stream.streams.wire.requests import FilterFields, Filters, Request, RequestValue, parse_request
from tests.streams.serving.parts import DIMENSION, PARTITION, World, rules


def ask(user: int, candidates: list[Any], *, seconds: float = 60.0, **options: Any) -> Ask:
    key, value = encode_request(user, RequestValue(request_id="r", candidates=candidates, **options))
    request = parse_request(key, value, rules())
    assert isinstance(request, Request), request
    return Ask(PARTITION, request, time.perf_counter() + seconds, StageClock())


def found_by(world: World, *asks: Ask) -> list[Found]:
    answers = world.pipeline()(list(asks))
    assert all(isinstance(answer, Found) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Found)]


def cosine(world: World, one: int, other: int) -> float:
    vectors, inv_norms = world.table.lookup(np.array([one, other], np.int64))
    dot = np.float32(vectors[0].astype(np.int64) @ vectors[1].astype(np.int64))
    return float(dot * inv_norms[0] * inv_norms[1])


def test_retrieves_by_cosine_and_reads_everything_from_one_sequence(world: World) -> None:
    world.behave(1, [2, 9, 4, 30, 9, 17, 2])
    (found,) = found_by(world, ask(1, [9, 5], k=3, want="both"))
    assert found.history.rows["item"].tolist() == [2, 9, 4, 30, 9, 17, 2]
    assert found.result.positions[0, :2].tolist() == [4, 1], "repeats of the candidate itself, the newest first"
    for row, candidate in enumerate([9, 5]):
        items = found.history.rows["item"][found.result.positions[row, :3]]
        expected = [cosine(world, int(item), candidate) for item in items]
        np.testing.assert_allclose(found.result.scores[row, :3], expected, rtol=1e-6)
        others = {cosine(world, item, candidate) for item in (2, 4, 9, 17)}
        assert max(others) == pytest.approx(float(found.result.scores[row, 0]))
    assert found.behaviours_position == 7
    assert found.users_position == 1
    assert found.items_version == 7
    assert found.watermark_ms == 5_000_000
    assert found.probabilities is not None
    assert found.probabilities.shape == (2,)


def test_a_pass_of_many_equals_each_alone(world: World) -> None:
    world.behave(1, [2, 9, 4, 30, 9, 17, 2])
    world.behave(2, [5] * 120)
    asks = [
        ask(1, [9, 5, 28], k=4),
        ask(2, [5], k=200, want="retrieved"),
        ask(3, [1, 2], want="scores"),
        ask(1, [4], k=1, context={"country": 12}),
    ]
    together = found_by(world, *asks)
    for one, single in zip(asks, together, strict=True):
        (alone,) = found_by(world, one)
        width = alone.result.scores.shape[1]
        np.testing.assert_array_equal(alone.result.positions, single.result.positions[:, :width])
        np.testing.assert_array_equal(alone.result.count, np.minimum(single.result.count, width))
        assert (alone.probabilities is None) == (single.probabilities is None)
        if alone.probabilities is not None and single.probabilities is not None:
            np.testing.assert_allclose(alone.probabilities, single.probabilities, atol=1e-6)


def test_what_has_expired_is_never_found_whatever_is_resident(world: World) -> None:
    world.behave(1, [2, 9, 2])
    world.behave(2, [9] * 4)
    found_by(world, ask(1, [9], k=9), ask(2, [9], k=9))
    world.close_and_open(Rules(ttl_seconds=10))
    world.behave(1, [9, 4], broker_time_ms=5_005_000)
    before, other = found_by(world, ask(1, [9], k=9), ask(2, [9], k=9))
    assert (before.result.count.tolist(), before.history.start) == ([5], 0)
    assert other.result.count.tolist() == [4]
    world.behave(3, [9], broker_time_ms=5_011_000)
    assert world.engine.resident()[1].tolist() == [0, 0], "the expired ones are in memory still"
    after, other = found_by(world, ask(1, [9], k=9), ask(2, [9], k=9))
    assert (after.result.count.tolist(), sorted(after.result.positions[0, :2].tolist())) == ([2], [3, 4])
    assert other.result.count.tolist() == [0]
    world.behave(1, [9], broker_time_ms=5_030_000)
    (last,) = found_by(world, ask(1, [9], k=9))
    assert (last.result.count.tolist(), last.result.positions[0, 0]) == ([1], 5)


def test_candidates_without_a_vector_are_counted_for_each_ask(world: World) -> None:
    world.behave(1, [2, 9])
    found = found_by(world, ask(1, [9, 999]), ask(1, [], prefetch=True), ask(2, [998, 999, 5]), ask(1, [4]))
    assert [one.without_vector for one in found] == [1, 0, 2, 0]


def test_an_unknown_user_gets_scores_and_no_behaviours(world: World) -> None:
    (found,) = found_by(world, ask(404, [1, 999]))
    assert found.result.count.tolist() == [0, 0]
    assert found.probabilities is not None
    assert np.isfinite(found.probabilities).all()


def test_profile_and_context_reach_the_network(world: World) -> None:
    world.behave(1, [2, 9])
    world.behave(2, [2, 9])
    with_profile, without, with_context = found_by(
        world, ask(1, [9]), ask(2, [9]), ask(2, [9], context={"country": 11})
    )
    assert with_profile.probabilities is not None
    np.testing.assert_array_equal(with_profile.probabilities, with_context.probabilities)
    assert with_profile.probabilities[0] != without.probabilities[0]  # type: ignore[index]


def test_a_candidates_own_vector_is_used_for_this_request_alone(world: World) -> None:
    world.behave(1, [2, 9, 4])
    own = world.table.lookup(np.array([4], np.int64))[0][0]
    with_own, without = found_by(world, ask(1, [candidate_with(500, own)], k=1), ask(1, [500], k=1))
    assert with_own.history.rows["item"][with_own.result.positions[0, 0]] == 4
    assert with_own.result.scores[0, 0] == pytest.approx(1.0)
    assert without.result.count[0] == 0
    assert own.shape == (DIMENSION,)


def test_filters_limit_what_is_retrieved(world: World) -> None:
    world.behave(1, [2, 9, 4], action=4, first_time_ms=1_000)
    world.behave(1, [9, 17], action=1, first_time_ms=10_000)
    since, until, actions = found_by(
        world,
        ask(1, [9], filters=FilterFields(since_ms=3_000)),
        ask(1, [9], filters=FilterFields(until_ms=3_000)),
        ask(1, [9], filters=FilterFields(actions=["click"])),
    )
    assert sorted(since.result.positions[0, : since.result.count[0]].tolist()) == [2, 3, 4]
    assert sorted(until.result.positions[0, : until.result.count[0]].tolist()) == [0, 1]
    assert sorted(actions.result.positions[0, : actions.result.count[0]].tolist()) == [3, 4]


def test_a_candidate_is_not_retrieved_for_itself_where_that_was_asked(world: World) -> None:
    world.behave(1, [2, 9, 4, 9, 2, 30])
    world.behave(2, [9, 9, 5])
    fields = FilterFields(exclude_candidate=True)
    plain, without, other, nobody = found_by(
        world,
        ask(1, [9, 2], want="both"),
        ask(1, [9, 2, 4], want="both", filters=fields),
        ask(2, [9, 9], filters=fields),
        ask(2, [404], filters=fields),
    )
    assert [sorted(row[row >= 0].tolist()) for row in plain.result.positions] == [[0, 1, 2, 3, 4]] * 2
    assert [sorted(row[row >= 0].tolist()) for row in without.result.positions] == [[0, 2, 4], [1, 2, 3], [0, 1, 3, 4]]
    np.testing.assert_array_equal(without.result.recent_scores[:2], plain.result.recent_scores)
    np.testing.assert_array_equal(without.result.recent_present[:2], plain.result.recent_present)
    assert without.probabilities is not None
    assert plain.probabilities is not None
    assert (without.probabilities[:2] != plain.probabilities).all(), "the network sees what was retrieved"
    assert other.result.count.tolist() == [1, 1]
    assert nobody.result.count.tolist() == [0]


def test_a_candidate_with_its_own_vector_is_excluded_by_its_id(world: World) -> None:
    world.behave(1, [2, 9, 4])
    (own,) = world.table.lookup(np.array([4], np.int64))[0]
    fields = FilterFields(exclude_candidate=True)
    (found,) = found_by(world, ask(1, [candidate_with(9, own), candidate_with(500, own)], filters=fields))
    assert [sorted(row[row >= 0].tolist()) for row in found.result.positions] == [[0, 2], [0, 1, 2]]


@pytest.mark.parametrize("seed", range(20))
def test_filters_hold_together(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for action in rng.integers(0, 4, 12).tolist():
        world.behave(1, rng.integers(1, 12, 5).tolist(), action=action, first_time_ms=int(rng.integers(0, 20_000)))
    since, until = sorted(rng.integers(0, 25_000, 2).tolist())
    fields = FilterFields(
        since_ms=since if rng.random() < 0.6 else None,
        until_ms=until if rng.random() < 0.6 else None,
        actions=rng.choice(4, 2).tolist() if rng.random() < 0.6 else None,
        exclude_candidate=bool(rng.random() < 0.6),
    )
    (found,) = found_by(world, ask(1, [3, 9], k=60, filters=fields))
    for row, candidate in enumerate([3, 9]):
        expected = [
            place
            for place, (item, time_ms, action) in enumerate(found.history.rows[["item", "time_ms", "action"]].tolist())
            if (fields.since_ms is None or time_ms >= fields.since_ms)
            and (fields.until_ms is None or time_ms < fields.until_ms)
            and (fields.actions is None or action in fields.actions)
            and not (fields.exclude_candidate and item == candidate)
        ]
        assert sorted(found.result.positions[row, : found.result.count[row]].tolist()) == expected


def test_filters_see_the_one_moment_that_the_answer_names(world: World) -> None:
    world.behave(1, [2, 9, 4], action=1)
    search = world.engine.search

    def late(*arguments: Any, **options: Any) -> Any:
        world.behave(1, [9, 9], action=1)
        return search(*arguments, **options)

    with mock.patch.object(world.engine, "search", late):
        (found,) = found_by(world, ask(1, [9], filters=FilterFields(actions=[1], until_ms=10_000)))
    assert sorted(found.result.positions[0, : found.result.count[0]].tolist()) == [0, 1, 2]
    assert (found.history.stop, found.behaviours_position, world.store.position) == (3, 3, 5)


def test_only_filters_on_rows_become_a_bitmap(world: World) -> None:
    world.behave(1, [2, 9, 4], first_time_ms=1_000)
    (found,) = found_by(world, ask(1, [9]))
    assert allowed_rows(None, found.history) is None
    assert allowed_rows(Filters(), found.history) is None
    assert allowed_rows(Filters(exclude_candidate=True), found.history) is None, "hot users' rows serve it"
    allowed = allowed_rows(Filters(since_ms=2_000, exclude_candidate=True), found.history)
    assert allowed is not None
    assert allowed.tolist() == [False, True, True]
    none = allowed_rows(Filters(actions=()), found.history)
    assert none is not None
    assert not none.any()


def test_prefetch_makes_the_user_resident(world: World) -> None:
    world.behave(1, [2, 9, 4])
    assert world.engine.stats().pool.users == 0
    (found,) = found_by(world, ask(1, [], prefetch=True))
    assert world.engine.stats().pool.users == 1
    assert found.result.scores.shape[0] == 0


def test_a_partition_that_left_and_a_deadline_that_passed_do_not_disturb_the_others(world: World) -> None:
    world.behave(1, [2, 9, 4])
    stray = Ask(5, ask(1, [9]).request, time.perf_counter() + 60, StageClock())
    gone, late, answered = world.pipeline()([stray, ask(1, [9], seconds=-1.0), ask(1, [9])])
    assert isinstance(gone, PartitionNotHereError)
    assert isinstance(late, ExpiredError)
    assert isinstance(answered, Found)


def test_damage_is_an_error_for_the_ask_and_is_told(world: World) -> None:
    world.behave(1, [2, 9, 4])
    broken = DamagedStoreError(world.store.path, "a block is wrong.", "restore a snapshot.")
    with mock.patch.object(Moment, "sequence", side_effect=broken):
        assert world.pipeline()([ask(1, [9])]) == [broken]
    assert world.damage == [(PARTITION, broken)]


def test_stages_add_up_to_the_whole(world: World) -> None:
    world.behave(1, [2, 9, 4])
    one = ask(1, [9])
    found_by(world, one)
    assert set(one.clock.seconds) == {"queue", "state_read", "gsu", "features", "esu"}
    assert sum(one.clock.seconds.values()) <= time.perf_counter() - one.clock.started


def test_without_a_model_retrieval_still_works(world: World) -> None:
    world.scorer = None
    world.behave(1, [2, 9, 4])
    (found,) = found_by(world, ask(1, [9], k=2, want="retrieved"))
    assert found.result.count.tolist() == [2]
    assert found.probabilities is None
