"""Writes the control topic: activations from the command line, reports from workers.

Invariant: what returned is acknowledged by all in-sync replicas, once.
"""

from muse_stream.streams.kafka.producer import RecordProducer, Written
from muse_stream.streams.models.control import (
    Activation,
    Record,
    Slot,
    WorkerReport,
    encode_activation,
    encode_end,
    encode_leave,
    encode_report,
)

ACKNOWLEDGED_SECONDS = 30.0
"""The producer's own time for a record."""


class ControlWriter:
    """Any thread. Every call waits for the brokers and raises `DeliveryError` where they do not take the record.

    The topic has to exist: see `ControlFollower.topic_missing`.
    """

    def __init__(self, producer: RecordProducer, topic: str) -> None:
        """Write with `producer`, which `close` closes."""
        self._producer, self._topic = producer, topic

    def activate(self, activation: Activation) -> Written:
        """Publish what a slot is to have."""
        return self._send(encode_activation(activation))

    def empty(self, slot: Slot) -> Written:
        """End the shadow; or take the activation away, so that a worker starts with the model of its settings."""
        return self._send(encode_end(slot))

    def report(self, report: WorkerReport) -> Written:
        """Publish what a worker runs."""
        return self._send(encode_report(report))

    def leave(self, worker: str) -> Written:
        """Take a worker's report away, at its orderly end."""
        return self._send(encode_leave(worker))

    def close(self) -> None:
        """Leave."""
        self._producer.close()

    def _send(self, record: Record) -> Written:
        return self._producer.send(self._topic, *record).result(ACKNOWLEDGED_SECONDS)
