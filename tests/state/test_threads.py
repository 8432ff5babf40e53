"""Readers beside the one that appends: each moment is one prefix; close waits for who is inside."""

import threading
from pathlib import Path

import pytest

from muse_stream.state.database import Gate
from muse_stream.state.errors import StoreClosedError
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log, plain_batch
from tests.state.model import Model, same

RULES = Rules(cap=300, duplicate_window=200)
USERS = 5


def test_every_moment_is_one_prefix_while_rows_arrive(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, RULES)
    seen: dict[int, list[object]] = {}
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with store.moment() as moment:
                seen[moment.position] = [moment.sequence(user) for user in range(USERS)]

    reader = threading.Thread(target=read)
    reader.start()
    for begin in range(0, 20_000, 50):
        store.append(hashed_log(begin, begin + 50, USERS), position=begin + 50)
    done.set()
    reader.join()
    store.close()
    model = Model(RULES)
    assert len(seen) > 1
    for position in sorted(seen):
        model.feed(hashed_log(model.position, position, USERS), position)
        assert all(same(found, model.sequence(user)) for user, found in enumerate(seen[position]))  # type: ignore[arg-type]


def test_appends_from_several_threads_take_turns(tmp_path: Path) -> None:
    store = BehaviourStore.open(tmp_path, IDENTITY, RULES)
    log = plain_batch([1] * 100)
    threads = [
        threading.Thread(target=lambda end=end: store.append(log.rows(0, end), position=end)) for end in range(1, 101)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.sequence(1).rows["item"].tolist() == list(range(100))
    store.close()


def test_shutting_the_gate_waits_for_those_inside() -> None:
    gate = Gate(Path("x"))
    inside, leave, shut = threading.Event(), threading.Event(), threading.Event()

    def stay() -> None:
        with gate:
            inside.set()
            leave.wait()

    def close() -> None:
        gate.shut()
        shut.set()

    staying = threading.Thread(target=stay)
    staying.start()
    inside.wait()
    closing = threading.Thread(target=close)
    closing.start()
    while True:
        try:
            with gate:
                pass
        except StoreClosedError:
            break
    assert not shut.is_set()
    leave.set()
    assert shut.wait(timeout=30)
    staying.join()
    closing.join()
    with pytest.raises(StoreClosedError, match="closed"), gate:
        pass
