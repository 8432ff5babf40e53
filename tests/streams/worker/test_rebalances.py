"""When a rebalance begins and when it is over."""

import asyncio
from collections.abc import Awaitable, Callable

from muse_stream.streams.worker.rebalances import Rebalances


class Group:
    """Time moves with every look; ready after so many."""

    def __init__(self) -> None:
        self.now, self.looks_left, self.took = 100.0, 0, list[float]()
        self.rebalances = Rebalances(self.settled, self.took.append, lambda: self.now)

    def settled(self) -> bool:
        self.now += 1.0
        self.looks_left -= 1
        return self.looks_left < 0

    def run(self, story: Callable[[], Awaitable[None]]) -> list[float]:
        asyncio.run(asyncio.wait_for(story(), 10.0))
        return self.took

    async def over(self) -> None:
        while not self.took:
            await asyncio.sleep(0.01)


def test_it_lasts_from_the_taking_to_the_last_partition_that_is_ready() -> None:
    group = Group()

    async def story() -> None:
        group.rebalances.taken()
        group.now += 20.0
        group.looks_left = 2
        group.rebalances.given()
        await group.over()

    assert group.run(story) == [23.0]


def test_the_first_assignment_begins_when_it_is_given() -> None:
    group = Group()

    async def story() -> None:
        group.rebalances.given()
        await group.over()

    assert group.run(story) == [1.0]


def test_another_change_prolongs_the_one_under_way() -> None:
    group = Group()

    async def story() -> None:
        group.looks_left = 10**6
        group.rebalances.given()
        await asyncio.sleep(0)
        group.now += 40.0
        group.rebalances.taken()
        group.looks_left = 0
        group.rebalances.given()
        await group.over()

    assert group.run(story) == [42.0]


def test_a_worker_that_stops_measures_nothing_more() -> None:
    group = Group()

    async def story() -> None:
        group.looks_left = 10**6
        group.rebalances.given()
        group.rebalances.taken()
        group.looks_left = 0
        await asyncio.sleep(0.1)

    assert group.run(story) == []
