"""Histories kept between requests: bounded, of the store that is open, and never seen in an answer."""

from pathlib import Path

import numpy as np
import pytest

from muse_stream.state.rules import Rules
from muse_stream.streams.serving.histories import Histories
from tests.streams.serving.parts import PARTITION, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def length(histories: Histories, world: World, user: int) -> int:
    with world.store.moment() as moment:
        return len(histories.read(world.store, moment, PARTITION, user))


def test_memory_is_bounded_and_who_was_asked_least_recently_leaves(world: World) -> None:
    for user in range(1, 9):
        world.behave(user, list(range(1, 25)))
    histories = Histories(3_000)
    for user in [1, 2, 3, 1, 4, 1, 5, 1, 6, 7, 8]:
        assert length(histories, world, user) == 24
        assert histories.nbytes <= 3_000
    assert [user for _, user in histories._kept] == [6, 7, 8]


def test_a_history_larger_than_the_bound_is_read_and_not_kept(world: World) -> None:
    world.behave(1, [1] * 200)
    histories = Histories(1_000)
    assert [length(histories, world, 1) for _ in range(2)] == [200, 200]
    assert histories.nbytes == 0


def test_nothing_is_taken_from_a_store_that_was_closed(world: World) -> None:
    world.behave(1, [1, 2, 3])
    histories = Histories(1 << 20)
    assert length(histories, world, 1) == 3
    ((_, known),) = histories._kept.values()
    world.close_and_open(Rules())
    assert length(histories, world, 1) == 3
    assert next(iter(histories._kept.values()))[1] is not known


def test_nothing_is_kept_where_the_setting_says_so(world: World) -> None:
    world.behave(1, [1, 2, 3])
    histories = Histories(0)
    assert length(histories, world, 1) == 3
    assert histories._kept == {}


def test_each_user_of_each_partition_has_a_history_of_its_own(world: World) -> None:
    world.behave(1, [1, 2, 3])
    world.behave(2, [4, 5])
    histories = Histories(1 << 20)
    for _ in range(2):
        with world.store.moment() as moment:
            found = {user: histories.read(world.store, moment, PARTITION, user).rows["item"] for user in (1, 2, 3)}
        np.testing.assert_array_equal(found[1], [1, 2, 3])
        np.testing.assert_array_equal(found[2], [4, 5])
        assert len(found[3]) == 0
