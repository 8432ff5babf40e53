"""Who owns what while workers come and go, without a broker: Faust's assignor as we use it."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.faust_app import create_app, owner_url

TOPIC = "requests"


@dataclass
class Cluster:
    """What the assignor asks of a cluster."""

    partitions: int
    is_told: bool = True

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        assert topic == TOPIC
        return set(range(self.partitions)) if self.is_told else None

    def topics(self) -> set[str]:
        return {TOPIC}


@dataclass
class Group:
    """A consumer group of workers, by port."""

    directory: Path
    partitions: int
    members: dict[int, Any] = field(default_factory=dict)

    def join(self, port: int) -> None:
        given = {"http.port": port, "state.directory": self.directory, "topics.partitions": self.partitions}
        settings = Settings.load(None, given)
        self.members[port] = create_app(settings)

    def rebalance(self, leader: int, *, is_told: bool = True) -> dict[int, set[int]]:
        """Partitions by port after a rebalance, as each member is told."""
        told = {str(port): app.assignor.metadata({TOPIC}) for port, app in self.members.items()}
        given = self.members[leader].assignor.assign(Cluster(self.partitions, is_told), told)
        for port, app in self.members.items():
            app.assignor.on_assignment(given[str(port)])
        return {
            port: {number for _, numbers in given[str(port)].assignment for number in numbers} for port in self.members
        }


def test_a_leader_who_was_told_of_no_topics_assigns_as_configured(tmp_path: Path) -> None:
    group = Group(tmp_path, 4)
    group.join(7001)
    group.join(7002)
    given = group.rebalance(7001, is_told=False)
    assert sorted(given[7001] | given[7002]) == [0, 1, 2, 3]
    assert len(given[7001]) == len(given[7002]) == 2


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_every_partition_has_one_owner_whom_all_know_and_nobody_is_left_out(tmp_path: Path, partitions: int) -> None:
    rng = random.Random(partitions)
    group = Group(tmp_path, partitions)
    group.join(7001)
    for _ in range(60):
        absent = [port for port in range(7001, 7005) if port not in group.members]
        if absent and (len(group.members) == 1 or rng.random() < 0.5):
            group.join(rng.choice(absent))
        else:
            del group.members[rng.choice(list(group.members))]
        owned = group.rebalance(rng.choice(list(group.members)))
        assert sorted(number for numbers in owned.values() for number in numbers) == list(range(partitions))
        fewest, most = min(map(len, owned.values())), max(map(len, owned.values()))
        assert fewest >= min(1, partitions // len(owned))
        assert most <= -(-partitions // len(owned))
        for app in group.members.values():
            for port, numbers in owned.items():
                assert {owner_url(app, TOPIC, number) for number in numbers} <= {f"http://127.0.0.1:{port}"}


def test_most_of_what_a_worker_owns_stays_with_it(tmp_path: Path) -> None:
    group = Group(tmp_path, 8)
    group.join(7001)
    assert group.rebalance(7001) == {7001: set(range(8))}
    group.join(7002)
    shared = group.rebalance(7002)
    group.join(7003)
    three = group.rebalance(7001)
    assert all(len(three[port] & shared[port]) >= 2 for port in shared)
    del group.members[7003]
    two = group.rebalance(7002)
    assert all(three[port] <= two[port] for port in two)


def test_nobody_owns_a_partition_before_the_first_assignment(tmp_path: Path) -> None:
    group = Group(tmp_path, 2)
    group.join(7001)
    assert owner_url(group.members[7001], TOPIC, 0) is None
