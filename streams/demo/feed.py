"""Rows in, Kafka records out, at a stated rate: what the demo and `muse-stream replay` send.

Invariant: records leave in the order of the rows, so that every user's history keeps the order of the source; a replay
that returns has been acknowledged whole.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from muse_stream.streams.demo.dataset import RETURN, VECTOR_SPACE, Behaviours, Catalogue, Customers
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.records import Headers
from muse_stream.streams.wire import encode
from muse_stream.streams.wire.ids import Id

SLICE_SECONDS = 0.02  # records leave in slices of so much time: smooth to the eye, cheap to pace
SLICE_RECORDS = 1_000  # the largest slice, also at full speed
FLUSH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one topic, in order: `[n]` keys and values, and headers that all of them share."""

    keys: Sequence[bytes]
    values: Sequence[bytes]
    headers: Headers | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> "Records":
        """Records out of pairs of key and value."""
        keys, values = [], []
        for key, value in pairs:
            keys.append(key)
            values.append(value)
        return cls(keys, values)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Rows:
    """Behaviours as their source writes them: `[n]` each, in order; None where there is no category or event id."""

    user: Sequence[Id]
    item: Sequence[Id]
    time_ms: Sequence[int]
    action: Sequence[Id]
    category: Sequence[Id | None]
    event_id: Sequence[str | None]


def encode_rows(rows: Rows) -> Records:
    """One JSON record a behaviour. Raises `IdError`: a user or item is no id."""
    columns = zip(rows.user, rows.item, rows.time_ms, rows.action, rows.category, rows.event_id, strict=True)
    return Records.of(
        encode.encode_behaviour(user, item, time_ms, action, category=category, event_id=event_id)
        for user, item, time_ms, action, category, event_id in columns
    )


def purchases(behaviours: Behaviours, catalogue: Catalogue) -> Rows:
    """The bundled purchases as rows; the event id is the line's number, so a second replay adds nothing."""
    return Rows(
        user=behaviours.user.tolist(),
        item=[catalogue.code[row] for row in behaviours.row.tolist()],
        time_ms=behaviours.event_time_ms.tolist(),
        action=["return" if action == RETURN else "purchase" for action in behaviours.action.tolist()],
        category=behaviours.category.tolist(),
        event_id=[f"online-retail-{line}" for line in range(len(behaviours))],
    )


def encode_items(catalogue: Catalogue) -> Records:
    """One JSON record a product: category, price band, title, vector."""
    rows = zip(catalogue.code, catalogue.category.tolist(), catalogue.price_band.tolist(), catalogue.title, strict=True)
    return Records.of(
        encode.encode_item(
            code, category=category, features={"price_band": band}, title=title, vector=vector, space=VECTOR_SPACE
        )
        for (code, category, band, title), vector in zip(rows, catalogue.vectors, strict=True)
    )


def encode_customers(customers: Customers) -> Records:
    """One JSON record a customer: the country."""
    pairs = zip(customers.user.tolist(), customers.country, strict=True)
    return Records.of(encode.encode_user(user, {"country": country}) for user, country in pairs)


def repeated(mine: Behaviours, user: int, length: int) -> Behaviours:
    """`length` behaviours of `user`: those in `mine` over and over, each round before the one that follows it.

    The last round has the real times; every earlier one is moved back by the whole span, so that time rises throughout.
    """
    count = len(mine)
    rounds = -(-length // count)
    span = int(mine.event_time_ms[-1] - mine.event_time_ms[0]) + 1
    index = np.arange(rounds * count)[-length:]
    row, earlier = index % count, rounds - 1 - index // count
    return Behaviours(
        user=np.full(length, user, dtype=np.int64),
        item=mine.item[row],
        category=mine.category[row],
        action=mine.action[row],
        event_time_ms=mine.event_time_ms[row] - earlier * span,
        row=mine.row[row],
    )


def encode_frames(behaviours: Behaviours, *, partition_count: int) -> Records:
    """One user's behaviours as packed frames."""
    frames = encode.encode_behaviours(
        behaviours.user,
        behaviours.item,
        behaviours.event_time_ms,
        behaviours.action,
        category=behaviours.category,
        partition_count=partition_count,
    )
    return Records([frame.key for frame in frames], [frame.value for frame in frames], encode.FRAME_HEADERS)


def send_all(producer: RecordProducer, topic: str, records: Records) -> None:
    """Send and wait for every acknowledgement. Raises `DeliveryError`."""
    producer.send_many(topic, records.keys, records.values, headers=records.headers)
    producer.flush(FLUSH_SECONDS)


def replay(
    producer: RecordProducer,
    topic: str,
    batches: Iterable[Records],
    *,
    rate: float | None,
    on_sent: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send batches one after another, `rate` records a second or, for None, as fast as the producer takes them.

    Args:
        producer: Where they go.
        topic: Topic name.
        batches: Records in order; drawn one at a time, so a source may be larger than memory.
        rate: Records per second; a source or broker that falls behind is caught up with.
        on_sent: Told the number sent so far, after every slice.
        clock: Seconds, monotonic.
        sleep: Waits seconds.

    Returns:
        The number of records, all acknowledged.

    Raises:
        DeliveryError: The broker refused some, or did not acknowledge in time.

    """
    size = SLICE_RECORDS if rate is None else max(1, min(SLICE_RECORDS, round(rate * SLICE_SECONDS)))
    begun, sent = clock(), 0
    for batch in batches:
        for start in range(0, len(batch), size):
            if rate is not None and (early := begun + sent / rate - clock()) > 0:
                sleep(early)
            keys, values = batch.keys[start : start + size], batch.values[start : start + size]
            producer.send_many(topic, keys, values, headers=batch.headers)
            sent += len(keys)
            on_sent(sent)
    producer.flush(FLUSH_SECONDS)
    return sent
