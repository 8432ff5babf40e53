"""Explanations of served scores: the definition by removal, the table they share, and what they may cost."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from muse_stream.esu_scorer.errors import ScoreError
from muse_stream.gsu_engine.contract import K_LIMIT
from muse_stream.streams.serving import explaining
from muse_stream.streams.serving.explainer import Explainer, explained
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.requests import FilterFields, RequestValue
from tests.streams.serving.parts import PARTITION, World
from tests.streams.serving.test_desk import LIMITS, NOW_MS, answer_to, desk_of
from tests.streams.serving.test_pipeline import ask, found_by

K = R = 50
"""Of the world's model."""


def explained_by(world: World, one: Ask) -> Found:
    (found,) = found_by(world, one)
    return explained(one, found)


def removed(world: World, user: int, items: list[int], place: int) -> None:
    world.behave(user, [*items[:place], *items[place + 1 :]])


@pytest.mark.parametrize(
    ("seed", "length", "filtered"), [(1, 130, False), (2, 130, True), (3, 51, False), (4, 20, True)]
)
def test_a_change_is_what_a_history_without_the_behaviour_gives(
    world: World, seed: int, length: int, filtered: bool
) -> None:
    rng = np.random.default_rng(seed)
    items = rng.integers(1, 31, length).tolist()  # item 30 has no vector
    world.behave(2, items)
    options: dict[str, Any] = {"filters": FilterFields(exclude_candidate=True)} if filtered else {}
    one = ask(2, [9, 30, 5], explain=[9, 5], **options)
    found = explained_by(world, one)
    assert found.explaining is not None
    assert found.explained is not None
    assert found.explaining.rows.tolist() == [0, 2]
    positions, without = found.explaining.result.positions, found.explained.without
    assert without.shape == (2, K)
    some = rng.choice(np.argwhere(positions >= 0), 12)
    newest = np.argwhere(positions >= length - R)[:4]
    for number, (row, column) in enumerate([*some.tolist(), *newest.tolist()]):
        user = 1_000 + number
        removed(world, user, items, int(positions[row, column]))
        (alone,) = found_by(world, ask(user, [[9, 5][row]], **options))
        assert alone.probabilities is not None
        assert without[row, column] == pytest.approx(float(alone.probabilities[0]), abs=1e-6)


def test_several_of_a_pass_are_explained_as_each_alone(world: World) -> None:
    world.behave(1, [2, 9, 4, 30] * 30)
    world.behave(2, [5, 7] * 20)
    asks = [
        ask(1, [9, 5, 7], explain=[7, 9]),
        ask(2, [5], filters=FilterFields(since_ms=5_000)),
        ask(2, [5, 2], explain=True, filters=FilterFields(since_ms=5_000, exclude_candidate=True)),
        ask(2, [5, 2], explain=True, want="retrieved", k=3),
    ]
    for one, together in zip(asks, found_by(world, *asks), strict=True):
        (alone,) = found_by(world, one)
        assert (together.explaining is None) == (alone.explaining is None) == (not len(one.request.explain_rows))
        if together.explaining is None or alone.explaining is None:
            continue
        np.testing.assert_array_equal(together.explaining.result.positions, alone.explaining.result.positions)
        assert (together.explaining.subject is None) == (one.request.want == "retrieved")
        mine, other = explained(one, together).explained, explained(one, alone).explained
        if mine is not None and other is not None:
            np.testing.assert_array_equal(mine.without, other.without)


def test_an_explanation_changes_nothing_else(world: World) -> None:
    world.behave(1, [2, 9, 4, 30] * 30)
    plain, asked, beside = found_by(world, ask(1, [9, 5], k=4), ask(1, [9, 5], k=4, explain=True), ask(1, [9], k=7))
    np.testing.assert_array_equal(plain.result.positions, asked.result.positions)
    np.testing.assert_array_equal(plain.result.recent_scores, asked.result.recent_scores)
    np.testing.assert_array_equal(plain.probabilities, asked.probabilities)
    assert plain.explaining is None
    assert beside.explaining is None


def test_an_answer_explains_its_scores(world: World) -> None:
    items = [2, 9, 4, 30] * 30
    world.behave(1, items)
    answer = answer_to(desk_of(world), want="both", k=2, explain=[5])
    found, told = answer.explanation, answer.behaviours
    assert found is not None
    assert told is not None
    assert world.scorer is not None
    assert found.blocks == [name for name, _ in world.scorer.blocks]
    (one,) = found.candidates
    assert one.candidate == 1
    assert answer.retrieved is not None
    assert [told.position[row] for row in one.row[:2]] == answer.retrieved[1].position
    np.testing.assert_array_equal(
        np.array(one.cosine[:2], np.float32), np.array(answer.retrieved[1].cosine, np.float32)
    )
    assert [len(column) for column in (one.row, one.cosine, one.tier, one.weight, one.change)] == [K] * 5
    assert [len(column) for column in (found.recent, one.recent_tier, one.recent_weight)] == [R] * 3
    assert len(one.block_change) == len(found.blocks)
    assert [told.position[row] for row in found.recent] == list(range(119, 69, -1))
    assert told.item == [items[position] for position in told.position]
    assert told.category == [item % 5 + 1 for item in told.item]
    assert told.time_ms == [1_000 * (position + 1) for position in told.position]
    assert set(told.action) == {4}
    assert set(one.row) | set(found.recent) == set(range(len(told.position))), "nobody's row is sent"
    assert [told.item[row] == 30 for row in found.recent] == [tier == -1 for tier in one.recent_tier]
    assert sum(one.weight) == pytest.approx(1, abs=1e-4)
    assert sum(one.recent_weight) == pytest.approx(1, abs=1e-4)
    assert any(one.change)
    assert "explain" in answer.stages_ms
    assert answer.left_out == []


def test_what_is_retrieved_alone_is_shown_without_a_model(world: World) -> None:
    world.behave(1, [2, 9, 4])
    answer = answer_to(desk_of(world), want="retrieved", k=2, explain=True)
    assert answer.explanation is not None
    assert [len(one.tier) for one in answer.explanation.candidates] == [2, 2]
    assert [one.change for one in answer.explanation.candidates] == [[], []]
    assert answer.explanation.blocks == []
    assert answer.left_out == []


def test_a_user_without_behaviours_is_explained_too(world: World) -> None:
    value = RequestValue(request_id="r-1", candidates=[9], explain=True)
    answer = answers_to(desk_of(world), [encode_request(404, value)])[0]
    assert answer.explanation is not None
    (one,) = answer.explanation.candidates
    assert (one.row, one.change, answer.explanation.recent) == ([], [], [])
    assert len(one.block_change) == 8
    behaviours = dict(zip(answer.explanation.blocks, one.block_change, strict=True))
    assert [behaviours[name] for name in ("sa_ta", "recent_mean")] == pytest.approx([0, 0], abs=1e-6)


def test_only_the_first_candidates_are_explained(world: World) -> None:
    world.behave(1, [2, 9, 4])
    answer = answer_to(desk_of(world), candidates=list(range(1, 30)), explain=True)
    assert answer.explanation is not None
    assert [one.candidate for one in answer.explanation.candidates] == list(range(explaining.CANDIDATES_MAX))
    named = answer_to(desk_of(world), candidates=list(range(1, 30)), explain=[28, 3])
    assert named.explanation is not None
    assert [one.candidate for one in named.explanation.candidates] == [2, 27]


def test_features_and_explanation_share_one_table(world: World) -> None:
    world.behave(1, [2, 9, 4] * 40)
    both = answer_to(desk_of(world), features=True, explain=True)
    assert both.behaviours is not None
    assert both.behaviours.position == list(range(120))
    assert both.features is not None
    assert both.features.history_rows == 120
    assert both.explanation is not None
    assert [one.row for one in both.features.candidates] == [one.row for one in both.explanation.candidates]


def test_an_answer_leaves_out_features_then_the_explanation_and_says_so(world: World) -> None:
    world.behave(1, list(range(1, 30)) * 5)
    options: dict[str, Any] = {"features": True, "explain": True, "candidates": [1, 2, 3, 4]}
    sizes: list[int] = []
    for parts in ([], ["features"], ["features", "explanation"]):
        limit = sizes[-1] - 100 if sizes else LIMITS.answer_max_bytes  # times differ by a few digits
        desk = desk_of(world, limits=replace(LIMITS, answer_max_bytes=limit))
        value = RequestValue(request_id="r-1", **options)
        (body,) = bodies_of(desk, [encode_request(1, value)])
        answer = decode_answer(body)
        assert answer.status is Status.OK
        assert answer.scores is not None
        assert answer.left_out == parts
        assert (answer.features is None) == ("features" in parts)
        assert (answer.explanation is None) == ("explanation" in parts)
        assert (answer.behaviours is None) == (len(parts) == 2)
        sizes.append(len(body))


def test_a_giant_request_keeps_its_scores_and_its_explanation_within_the_limit(world: World) -> None:
    world.behave(1, list(range(1, 30)) * 5)
    value = RequestValue(request_id="r-1", candidates=[1 + n % 30 for n in range(2_000)], features=True, explain=True)
    (body,) = bodies_of(desk_of(world), [encode_request(1, value)])
    answer = decode_answer(body)
    assert len(body) <= LIMITS.answer_max_bytes
    assert answer.left_out == ["features"]
    assert answer.scores is not None
    assert len(answer.scores) == 2_000
    assert answer.explanation is not None
    assert len(answer.explanation.candidates) == explaining.CANDIDATES_MAX


def test_a_failing_explanation_costs_no_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.behave(1, [2, 9, 4])
    broken = mock.patch("muse_stream.streams.serving.explainer.explain", side_effect=ScoreError("not finite"))
    with broken:
        answer = answer_to(desk_of(world), explain=True)
    assert (answer.status, answer.explanation, answer.left_out) == (Status.OK, None, ["explanation"])
    assert answer.scores is not None
    assert "an explanation failed" in caplog.text


def test_a_deadline_that_passes_over_the_explanation_costs_no_answer(world: World) -> None:
    world.behave(1, [2, 9, 4])
    one = ask(1, [9], explain=True)
    (found,) = found_by(world, one)
    late = replace(one, deadline=time.perf_counter() - 1)

    async def scenario() -> Found:
        explainer: Explainer[Found] = Explainer(lambda ask, found: found)
        try:
            return await explainer.reply(late, found)
        finally:
            explainer.stop()

    assert asyncio.run(scenario()).explaining is None


def test_explanations_beyond_the_queue_and_after_the_end_are_left_out(world: World) -> None:
    world.behave(1, [2, 9, 4])
    one = ask(1, [9], explain=True)
    (found,) = found_by(world, one)

    async def scenario() -> list[Found]:
        explainer: Explainer[Found] = Explainer(lambda ask, found: found, waiting_max=2)
        made = await asyncio.gather(*(explainer.reply(one, found) for _ in range(4)))
        explainer.stop()
        return [*made, await explainer.reply(one, found)]

    made = asyncio.run(scenario())
    assert [one.explained is not None for one in made] == [True, True, False, False, False]
    assert [one.explaining is None for one in made] == [False, False, True, True, True]


def test_others_of_the_pass_do_not_wait_for_an_explanation(world: World) -> None:
    world.behave(1, [2, 9, 4])
    explain = RequestValue(request_id="explained", candidates=[9, 5], explain=True)
    plain = RequestValue(request_id="plain", candidates=[9, 5])
    order = []

    async def scenario() -> None:
        desk = desk_of(world, limits=replace(LIMITS, batch_window_ms=50.0))
        desk.start()

        async def send(value: RequestValue) -> None:
            await desk.answer(*encode_request(1, value), partition=PARTITION, broker_time_ms=NOW_MS)
            order.append(value.request_id)

        await asyncio.gather(send(explain), send(plain))
        await desk.stop()

    gate = mock.patch("muse_stream.streams.serving.explainer.explain", side_effect=waits_for(lambda: "plain" in order))
    with gate:
        asyncio.run(scenario())
    assert order == ["plain", "explained"]


def waits_for(condition: Any) -> Any:
    """An explanation that begins to fail once something has happened."""

    def wait(*_: Any) -> None:
        until = time.monotonic() + 10
        while not condition() and time.monotonic() < until:
            time.sleep(0.001)
        raise ScoreError

    return wait


def test_a_model_as_wide_as_the_engine_is_not_explained(world: World) -> None:
    world.behave(1, [2, 9, 4])
    assert world.scorer is not None
    wide = mock.patch.object(Live, "retrieved", K_LIMIT)
    with wide:
        answer = answer_to(desk_of(world), explain=True)
    assert (answer.status, answer.explanation, answer.left_out) == (Status.OK, None, ["explanation"])


def test_a_model_that_only_scores_is_explained_by_removal_alone(world: World) -> None:
    world.behave(1, [2, 9, 4])
    whole = answer_to(desk_of(world), explain=True)
    assert world.scorer is not None
    world.scorer = mock.Mock(spec=["info", "score", "device"], info=world.scorer.info, score=world.scorer.score)
    plain = answer_to(desk_of(world), explain=True)
    assert plain.explanation is not None
    assert whole.explanation is not None
    assert plain.explanation.blocks == []
    for mine, other in zip(plain.explanation.candidates, whole.explanation.candidates, strict=True):
        assert mine.change == other.change
        assert (mine.weight, mine.recent_weight, mine.block_change) == ([], [], [])


def bodies_of(desk: Any, requests: list[tuple[bytes, bytes]]) -> list[bytes]:
    async def scenario() -> list[bytes]:
        desk.start()
        try:
            replies = [await desk.answer(*one, partition=PARTITION, broker_time_ms=NOW_MS) for one in requests]
        finally:
            await desk.stop()
        return [reply.body for reply in replies if reply is not None]

    return asyncio.run(scenario())


def answers_to(desk: Any, requests: list[tuple[bytes, bytes]]) -> list[Answer]:
    return [decode_answer(body) for body in bodies_of(desk, requests)]
