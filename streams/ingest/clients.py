"""The dead-letter producer on a real Kafka client.

Invariant: sending never makes the ingest thread wait, neither for metadata nor for a full buffer.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.wire.rejects import Reject, encode_dead_letter

ACKNOWLEDGE_SECONDS = 60.0
"""Above the producer's own delivery timeout of 30 s, so that its answer comes first."""
SENDING_THREADS = 4
"""Partitions whose dead letters wait for a broker at the same time; others queue behind them."""


class KafkaLetterSink:
    """`DeadLetterSink` on a producer, in threads of its own since a producer may wait for metadata. Thread-safe."""

    def __init__(self, producer: RecordProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._threads = ThreadPoolExecutor(SENDING_THREADS, "dead-letters")

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        """Send in the background; the future is done when all are acknowledged, or has the first failure."""
        return self._threads.submit(self._send, rejects)

    def close(self) -> None:
        """End the threads without waiting; the producer is its owner's to close."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, rejects: Sequence[Reject]) -> None:
        letters = [encode_dead_letter(reject) for reject in rejects]
        for pending in [self._producer.send(self._topic, key, value) for key, value in letters]:
            pending.result(ACKNOWLEDGE_SECONDS)
