"""Features that come with an answer: when asked for, for a share of users, and only where they fit."""

from dataclasses import replace

import numpy as np

from muse_stream.streams.wire.answers import Status
from tests.streams.serving.parts import World
from tests.streams.serving.test_desk import LIMITS, answer_to, desk_of


def test_a_request_may_ask_for_what_the_network_read(world: World) -> None:
    world.behave(1, [2, 9, 4])
    assert answer_to(desk_of(world)).features is None
    answer = answer_to(desk_of(world), features=True, want="both", k=2)
    found = answer.features
    assert found is not None
    assert (found.candidate_names, found.user_names) == (["item", "category", "price"], ["country"])
    assert found.user == [11]
    told = answer.behaviours
    assert told is not None
    assert (found.history_rows, told.position, told.item, told.category) == (3, [0, 1, 2], [2, 9, 4], [3, 5, 5])
    assert (told.time_ms, told.action) == ([1_000, 2_000, 3_000], [4, 4, 4])
    assert [one.values for one in found.candidates] == [[9, 5, 1], [5, 1, 3]]
    assert answer.retrieved is not None
    assert [one.row[:2] for one in found.candidates] == [one.position for one in answer.retrieved]
    for mine, other in zip(found.candidates, answer.retrieved, strict=True):
        np.testing.assert_array_equal(np.array(mine.cosine[:2], np.float32), np.array(other.cosine, np.float32))
    assert [len(one.recent_cosine) for one in found.candidates] == [3, 3]


def test_features_come_with_scores_alone(world: World) -> None:
    answer = answer_to(desk_of(world), features=True, want="retrieved")
    assert (answer.features, answer.left_out) == (None, [])


def test_a_share_of_users_needs_no_asking(world: World) -> None:
    assert answer_to(desk_of(world, limits=replace(LIMITS, features_share=1.0))).features is not None


def test_features_never_cost_an_answer(world: World) -> None:
    world.behave(1, list(range(1, 30)))
    fits = replace(LIMITS, answer_max_bytes=1_500)
    answer = answer_to(desk_of(world, limits=fits), features=True)
    assert answer.status is Status.OK
    assert answer.scores is not None
    assert answer.features is None
    assert answer.behaviours is None
    assert answer.left_out == ["features"]
