import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from muse_stream.streams.demo import feed
from muse_stream.streams.demo.dataset import OnlineRetail, load
from muse_stream.streams.demo.feed import Records, Rows
from muse_stream.streams.records import Headers
from muse_stream.streams.wire.frame import decode_frame


class Recorder:
    """A producer that keeps what it is given, and a clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.now = 100.0
        self.flushes = 0

    def send_many(
        self, topic: str, keys: Sequence[bytes], values: Sequence[bytes], *, headers: Headers | None = None
    ) -> None:
        assert topic == "behaviours"
        self.sent += [(self.now, key) for key in keys]

    def flush(self, timeout: float | None = None) -> None:
        self.flushes += 1

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def replay(self, batches: list[Records], rate: float | None) -> tuple[int, list[int]]:
        told: list[int] = []
        producer: Any = self
        arguments: dict[str, Any] = {"rate": rate, "on_sent": told.append, "clock": self.clock, "sleep": self.sleep}
        return feed.replay(producer, "behaviours", batches, **arguments), told


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def numbered(start: int, count: int) -> Records:
    keys = [str(number).encode() for number in range(start, start + count)]
    return Records(keys, [b"{}"] * count)


def test_a_replay_keeps_order_across_batches() -> None:
    recorder = Recorder()
    sent, told = recorder.replay([numbered(0, 2_500), numbered(2_500, 700)], None)
    assert sent == told[-1] == 3_200
    assert [int(key) for _, key in recorder.sent] == list(range(3_200))
    assert recorder.flushes == 1


def test_a_rate_spreads_records_evenly() -> None:
    recorder = Recorder()
    recorder.replay([numbered(0, 1_000)], 500.0)
    at = np.array([moment for moment, _ in recorder.sent]) - 100.0
    wanted = np.arange(1_000) / 500.0
    assert (at <= wanted + 1e-9).all()
    assert (at >= wanted - 2 * feed.SLICE_SECONDS).all()


def test_a_slow_source_is_caught_up_with() -> None:
    recorder = Recorder()

    def batches() -> Any:
        yield numbered(0, 10)
        recorder.now += 5.0
        yield numbered(10, 990)

    recorder.replay(batches(), 100.0)
    assert recorder.sent[-1][0] - 100.0 == pytest.approx(10.0, abs=0.1)


def test_an_empty_replay_sends_nothing() -> None:
    assert Recorder().replay([], 10.0) == (0, [])


def test_rows_become_json_records() -> None:
    rows = Rows([17850, "anna"], ["85123A", 71053], [5, 6], ["purchase", 1], [10, None], ["a", "b"])
    records = feed.encode_rows(rows)
    assert records.keys == [b"17850", b"anna"]
    assert [msgspec.json.decode(value) for value in records.values] == [
        {"item": "85123A", "time_ms": 5, "action": "purchase", "category": 10, "event_id": "a"},
        {"item": 71053, "time_ms": 6, "action": 1, "event_id": "b"},
    ]


def test_purchases_name_returns_and_have_distinct_event_ids(retail: OnlineRetail) -> None:
    rows = feed.purchases(retail.behaviours, retail.catalogue)
    assert rows.item[0] == "85123A"
    assert sum(action == "return" for action in rows.action) == 880
    assert len(set(rows.event_id)) == len(rows.user)


def test_items_and_customers_as_records(retail: OnlineRetail) -> None:
    items, customers = feed.encode_items(retail.catalogue), feed.encode_customers(retail.customers)
    row = items.keys.index(b"85123A")
    item = msgspec.json.decode(items.values[row])
    assert item["title"] == "WHITE HANGING HEART T-LIGHT HOLDER"
    assert base64.b64decode(item["vector_int8"]) == retail.catalogue.vectors[row].tobytes()
    assert len(customers) == 1_041
    first = msgspec.json.decode(customers.values[customers.keys.index(b"17850")])
    assert first == {"features": {"country": "United Kingdom"}}


@pytest.mark.parametrize("length", [683, 684, 685, 10_000])
def test_a_repeated_history_ends_like_the_real_one_and_its_time_rises(retail: OnlineRetail, length: int) -> None:
    mine = retail.behaviours.of(12748)
    long = feed.repeated(mine, -12748, length)
    assert len(long) == length
    assert set(long.user.tolist()) == {-12748}
    assert np.array_equal(long.item[-683:], mine.item[-683:])
    assert np.array_equal(long.event_time_ms[-683:], mine.event_time_ms[-683:])
    assert (np.diff(long.event_time_ms) >= 0).all()
    assert long.event_time_ms[0] > 0
    assert np.array_equal(long.item[:-684], long.item[684:])


def test_frames_hold_the_rows_in_order(retail: OnlineRetail) -> None:
    long = feed.repeated(retail.behaviours.of(12748), -12748, 2_500)
    records = feed.encode_frames(long, partition_count=8)
    assert records.keys == [b"-12748"] * 3
    assert records.headers == [("muse-format", b"frame/1")]
    frames = [decode_frame(value) for value in records.values]
    assert np.array_equal(np.concatenate([frame.item for frame in frames]), long.item)
    assert np.array_equal(np.concatenate([frame.time_ms for frame in frames]), long.event_time_ms)
    assert np.array_equal(np.concatenate([frame.category for frame in frames]), long.category)
