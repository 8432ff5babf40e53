"""Producers at a steady rate: one that writes record by record, and sinks that write in transactions.

Invariant: what is noted as written was acknowledged, and in a transaction acknowledged and committed; what is noted as
aborted was acknowledged and its transaction then aborted; of all other records nothing is claimed.

A sink works as Flink's exactly-once sink does: one transactional id, open for about a second, and where the end of a
transaction is not known, a new producer under the same id and the same records once more.
"""

import random
import threading
import time
import zlib
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError

from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import Id
from tests.chaos.plan import Plan
from tests.chaos.records import Maker, Record

SINKS = 2
SINK_SHARE = 0.1
"""Of the rate, for each sink."""
TRANSACTION_SECONDS = 1.0
ABORTED = 0.2
"""Share of the transactions that end so on purpose."""
TRANSACTION_TIMEOUT_MS = 10_000
"""A transaction that nobody ends holds its partitions back for so long, and for up to a second more."""
SLICE_SECONDS = 0.02
RECENT = 200


class Place(NamedTuple):
    """A user's behaviour that is in the log."""

    user: Id
    partition: int
    offset: int


def checksum(key: bytes | None, value: bytes | None) -> int:
    """Tells records apart; of 32 bits."""
    return zlib.crc32(value if value is not None else b"\xff", zlib.crc32(key or b""))


class Written:
    """What the producers know to be in the log, and what must not be.

    Attributes:
        kept: Per partition `offset << 32 | checksum` of each record that was acknowledged, and committed.
        aborted: The same of records of aborted transactions.
        poison: Where poison was kept: partition, offset.
        counts: Records by outcome, transactions by theirs.
        recent: The last places, for requests that must have seen them.

    """

    def __init__(self, partitions: int) -> None:
        self.kept = [array("Q") for _ in range(partitions)]
        self.aborted = [array("Q") for _ in range(partitions)]
        self.poison: set[tuple[int, int]] = set()
        self.counts: Counter[str] = Counter()
        self.recent: deque[Place] = deque(maxlen=RECENT)
        self._lock = threading.Lock()

    def keep(self, record: Record, where: Any) -> None:
        """Note a record that is in the log at `where` (partition, offset)."""
        with self._lock:
            self.kept[where.partition].append(where.offset << 32 | checksum(record.key, record.value))
            self.counts["records kept"] += 1
            if record.poison:
                self.poison.add((where.partition, where.offset))
            elif record.user is not None:
                self.recent.append(Place(record.user, where.partition, where.offset))

    def abort(self, record: Record, where: Any) -> None:
        """Note a record whose transaction was aborted."""
        with self._lock:
            self.aborted[where.partition].append(where.offset << 32 | checksum(record.key, record.value))
            self.counts["records aborted"] += 1

    def count(self, what: str) -> None:
        """One more of these."""
        with self._lock:
            self.counts[what] += 1


class Pace:
    """So many a second, also after a pause: what was missed is not made up for."""

    def __init__(self, rate: float, stopping: threading.Event) -> None:
        self._rate, self._stopping = rate, stopping
        self._due, self._told = 0.0, time.monotonic()

    def wait(self) -> int:
        """How many to write now."""
        self._stopping.wait(SLICE_SECONDS)
        now = time.monotonic()
        self._due = min(self._due + (now - self._told) * self._rate, self._rate)
        self._told = now
        count = int(self._due)
        self._due -= count
        return count


class Writer:
    """All producers, each in a thread of its own; `start`, then `stop`."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self.written = Written(plan.partitions)
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        works: list[Callable[[], None]] = [
            self._write,
            *(lambda name=f"sink-{n}": self._sink(name) for n in range(SINKS)),
        ]
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 120.0) -> None:
        """Write no more and wait for every acknowledgement. Raises what ended a producer."""
        self._stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self.failure is not None:
            raise self.failure
        if any(thread.is_alive() for thread in self._threads):
            message = f"a producer did not end within {seconds:.0f} s"
            raise TimeoutError(message)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failure = error

    def _producer(self, **options: Any) -> Any:
        return KafkaProducer(
            bootstrap_servers=self._settings.kafka.brokers,
            acks="all",
            linger_ms=5,
            reconnect_backoff_max_ms=1_000,
            **options,
        )

    def _write(self) -> None:
        maker = Maker(self._plan.seed, "plain", self._plan.partitions)
        pace = Pace(self._plan.rate * (1 - SINKS * SINK_SHARE), self._stopping)
        producer = self._producer(delivery_timeout_ms=120_000)
        while not self._stopping.is_set():
            for _ in range(pace.wait()):
                record = maker.next()
                future = _send(producer, self._settings.topics.behaviours, record)
                future.add_callback(lambda where, record=record: self.written.keep(record, where))
                future.add_errback(lambda error: self.written.count("records unknown"))
        producer.flush(timeout=60)
        producer.close()

    def _sink(self, name: str) -> None:
        maker, dice = Maker(self._plan.seed, name, self._plan.partitions), random.Random(f"{self._plan.seed}{name}")
        producer, again = None, list[Record]()
        while not self._stopping.is_set() or again:
            try:
                if producer is None:
                    producer = self._producer(
                        transactional_id=f"{self._settings.app.name}-{name}",
                        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                        delivery_timeout_ms=20_000,
                        request_timeout_ms=10_000,
                        max_block_ms=10_000,
                    )
                    producer.init_transactions()
                again = self._transaction(producer, maker, again, aborted=dice.random() < ABORTED)
            except (KafkaError, OSError, RuntimeError) as error:
                self.written.count(f"sinks begun again after {type(error).__name__}")
                _leave(producer)
                producer = None
                if self._stopping.is_set():
                    break
                time.sleep(0.2)
        _leave(producer)

    def _transaction(self, producer: Any, maker: Maker, again: list[Record], *, aborted: bool) -> list[Record]:
        """One transaction; records to write again: none, or where it fails and raises, `again` with its own."""
        producer.begin_transaction()
        sent = [(record, _send(producer, self._settings.topics.behaviours, record)) for record in again]
        pace, until = Pace(self._plan.rate * SINK_SHARE, self._stopping), time.monotonic() + TRANSACTION_SECONDS
        while time.monotonic() < until:
            for _ in range(pace.wait()):
                record = maker.next()
                again.append(record)
                sent.append((record, _send(producer, self._settings.topics.behaviours, record)))
        producer.flush(timeout=20)
        places = [(record, future.get(timeout=20)) for record, future in sent]
        if aborted:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
        self._note(places, aborted=aborted)
        return []

    def _note(self, places: Sequence[tuple[Record, Any]], *, aborted: bool) -> None:
        self.written.count("transactions aborted" if aborted else "transactions committed")
        for record, where in places:
            (self.written.abort if aborted else self.written.keep)(record, where)


def _send(producer: Any, topic: str, record: Record) -> Any:
    return producer.send(topic, record.value, record.key, headers=record.headers or [], partition=record.partition)


def _leave(producer: Any) -> None:
    """Close it, also where its records cannot be sent: then kafka-python's own `close` ends half way."""
    if producer is None:
        return
    try:
        producer.close(timeout=1)
    except KafkaError:
        producer._sender.force_close()
        producer._sender.join(timeout=5)
        producer._closed = True
