"""Every engine that is open is told, in one order; who has left is told no more."""

import numpy as np

from muse_stream.streams.ingest.history_fan import HistoryFan
from tests.streams.ingest.fakes import Ints


class Sink:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[list[int]] = []

    def append(self, users: Ints, starts: Ints, bounds: Ints, items: Ints) -> None:
        self.told.append(users.tolist())

    def drop(self, users: Ints) -> None:
        self.told.append((-users).tolist())


def test_all_are_told_from_when_they_come_to_when_they_go() -> None:
    fan, early, late = HistoryFan(), Sink(), Sink()
    user = np.array([7])

    def tell() -> None:
        fan.append(user, user, user, user)
        fan.drop(user)

    tell()
    fan.add(early)
    tell()
    fan.add(late)
    tell()
    fan.remove(early)
    tell()
    assert early.told == [[7], [-7]] * 2
    assert late.told == [[7], [-7]] * 2
