"""Seeded schedules of everything that can happen to one partition: what is stored and lettered follows from the log."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.streams.ingest.fakes import BEHAVIOURS, START_MS, items_of, users_of
from tests.streams.ingest.test_pump import BAD, Bench

HERE = (BEHAVIOURS, 0)
USERS = users_of(0, 5)
STEPS = 120


class Schedule:
    """Random steps over one partition, and a plain model of what the log says."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.bench = Bench(directory)
        self.bench.sink.at_once = False
        self.model: dict[int, list[int]] = defaultdict(list)
        self.rejected: set[int] = set()
        self.serving = True
        self.item = 0

    def write(self) -> None:
        log, user = self.bench.log, int(self.rng.choice(USERS))
        self.item += 1
        match int(self.rng.integers(10)):
            case 0:
                log.mark(HERE)
            case 1 | 2:
                self.rejected.add(log.add(HERE, str(user).encode(), BAD))
            case 3:
                log.add(HERE, str(user).encode(), None)
                self.model[user].clear()
            case _:
                value = b'{"item":%d,"time_ms":%d,"action":1}' % (self.item, START_MS)
                log.add(HERE, str(user).encode(), value)
                self.model[user].append(self.item)

    def restart(self) -> None:
        """A kill: whatever was not stored is forgotten."""
        for store in self.bench.stores.values():
            store.close()
        self.bench.stores.clear()
        self.bench.pump.cursors.clear()
        self.bench.sink.flying.clear()
        self.open()

    def open(self) -> None:
        self.bench.log.away = False
        self.bench.open(0, serving=self.serving)

    def step(self) -> None:
        bench = self.bench
        match int(self.rng.integers(12)):
            case 0:
                self.restart()
            case 1:
                self.serving = not self.serving
                self.open()
            case 2:
                bench.log.away = not bench.log.away
            case 3:
                bench.sink.refuse()
            case 4 | 5:
                bench.sink.acknowledge()
            case 6 | 7 | 8:
                for _ in range(int(self.rng.integers(1, 6))):
                    self.write()
            case _:
                bench.turn()
        self.check_prefix()

    def check_prefix(self) -> None:
        """Whatever the position has passed under an owner is lettered."""
        for cursor in self.bench.pump.cursors.values():
            if cursor.at == HERE and cursor.serving:
                passed = {offset for offset in self.rejected if offset < cursor.lettered}
                assert passed <= {letter.offset for letter in self.bench.sink.letters}

    def finish(self) -> None:
        self.serving = True
        self.open()
        for _ in range(20):
            self.bench.sink.acknowledge()
            self.bench.time.sleep(30)
            self.bench.turn()


@pytest.mark.parametrize("seed", range(25))
def test_stores_and_letters_follow_from_the_log(tmp_path: Path, seed: int) -> None:
    schedule = Schedule(tmp_path, seed)
    schedule.open()
    schedule.bench.turn()
    for _ in range(STEPS):
        schedule.step()
    schedule.finish()
    bench = schedule.bench
    store = bench.stores[0]
    assert bench.failed == {}
    assert store.position == bench.log.end(HERE)
    assert {user: items_of(store, user) for user in USERS} == {user: schedule.model[user] for user in USERS}
    assert {letter.offset for letter in bench.sink.letters} == schedule.rejected
    assert bench.log.commits[HERE] == bench.log.end(HERE)
    store.close()
