"""Readers share, writers do not, and nobody waits for ever."""

import threading

import pytest

from muse_stream.gsu_engine.gate import Gate


def test_readers_share_and_a_writer_waits_for_them() -> None:
    gate, order = Gate(), []
    inside = threading.Barrier(3)
    release, wrote = threading.Event(), threading.Event()

    def read() -> None:
        with gate.shared():
            inside.wait(10)
            assert release.wait(10)
            order.append("read")

    def write() -> None:
        with gate.exclusive():
            order.append("write")
        wrote.set()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    inside.wait(10)
    writer = threading.Thread(target=write)
    writer.start()
    assert not wrote.is_set()
    release.set()
    for thread in (*readers, writer):
        thread.join(10)
    assert order == ["read", "read", "write"]


def test_a_reader_may_enter_again_while_a_writer_waits() -> None:
    gate = Gate()
    writer = threading.Thread(target=lambda: gate.exclusive().__enter__())
    with gate.shared():
        writer.start()
        with gate.shared():
            pass
    writer.join(10)
    assert not writer.is_alive()


def test_writers_exclude_each_other() -> None:
    gate, total = Gate(), [0]

    def write() -> None:
        for _ in range(200):
            with gate.exclusive():
                before = total[0]
                total[0] = before + 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert total == [800]


def test_a_reader_cannot_turn_into_a_writer() -> None:
    gate = Gate()
    with gate.shared(), pytest.raises(RuntimeError, match="leave shared"), gate.exclusive():
        pass
    with gate.exclusive():
        pass
