"""Committed records of one partition, by a consumer loop of the audit's own.

Invariant: between two offsets every committed record comes once, in order, and nothing else: no record of an aborted or
open transaction.
"""

import time
from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from muse_stream.streams.audit.decoding import Record
from muse_stream.streams.errors import AuditError
from muse_stream.streams.kafka.python_client import connecting
from muse_stream.streams.kafka.security import Security

CONNECT_MS = 10_000
POLL_MS = 500
SILENCE_SECONDS = 60.0
"""So long may a log that has more to give stay silent: a leader election takes seconds."""


class Log:
    """Reads topics of one cluster; close it."""

    def __init__(self, bootstrap: str, security: Security) -> None:
        """Connect. Raises `UnreachableError`."""
        with connecting(bootstrap, security, "muse-stream-audit", CONNECT_MS) as shared:
            self._consumer: Any = KafkaConsumer(
                group_id=None,
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="none",
                fetch_min_bytes=1 << 20,
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=4 << 20,
                **shared,
            )

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 where there is no such topic."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset that the log has, and the last stable one."""
        at = TopicPartition(topic, partition)
        return self._consumer.beginning_offsets([at])[at], self._consumer.end_offsets([at])[at]

    def records(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[Record]]:
        """The records with offsets in `[begin, end)`, in pieces; `end` is at most the last stable offset.

        Raises:
            AuditError: The log stops giving before its end.

        """
        at = TopicPartition(topic, partition)
        self._consumer.assign([at])
        self._consumer.seek(at, begin)
        position, heard = begin, time.monotonic()
        while position < end:
            found = self._consumer.poll(timeout_ms=POLL_MS, max_records=10_000).get(at, [])
            reached = self._consumer.position(at)
            if reached > position:
                position, heard = reached, time.monotonic()
                yield [_record(one) for one in found if one.offset < end]
            elif time.monotonic() - heard > SILENCE_SECONDS:
                message = (
                    f"{topic}-{partition}: nothing came after offset {position} for {SILENCE_SECONDS:.0f} s, expected "
                    f"records up to {end}; is the partition's leader up?"
                )
                raise AuditError(message)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _record(found: Any) -> Record:  # noqa: ANN401 - kafka-python's record
    return Record(found.offset, found.timestamp, found.key, found.value, found.headers or ())
