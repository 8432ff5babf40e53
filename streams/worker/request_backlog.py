"""Requests that wait in the log for this worker, as the brokers tell it and not Faust.

Invariant: every answer is the brokers'; where they do not answer, an exception says so. Only a record is a request: the
marker that ends a transaction takes an offset too, and nobody ever commits beyond the last one.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from muse_stream.streams.errors import TopicError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.kafka.consumer import BatchConsumer, Partition
from muse_stream.streams.kafka.facts import ClusterFacts

PROBE_SECONDS = 5.0
"""A record that is there comes within milliseconds; a broker that is slow is asked again by the next look."""


class RequestBacklog:
    """Used by one thread."""

    def __init__(
        self,
        topic: str,
        group: str,
        make_facts: Callable[[], ClusterFacts],
        make_consumer: Callable[[], BatchConsumer],
        clock: Clock,
    ) -> None:
        """Prepare; nobody is asked before the first question.

        Args:
            topic: The requests topic.
            group: Faust's consumer group.
            make_facts: Connects to ask.
            make_consumer: Connects to look for a record; a consumer of its own without a group.
            clock: Time.

        """
        self._topic, self._group = topic, group
        self._make_facts, self._make_consumer, self._clock = make_facts, make_consumer, clock
        self._facts: ClusterFacts | None = None
        self._committed: dict[Partition, int] = {}

    def waiting(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Offsets between what the group has committed and the end of each partition's log.

        Raises:
            KafkaError: The brokers do not answer, the group's coordinator among them, or the topic does not exist.

        """
        facts = self._facts = self._facts or self._make_facts()
        if self._topic not in facts.topics([self._topic]):
            message = f"topic {self._topic} does not exist. Operator action: run muse-stream topics create."
            raise TopicError(message)
        wanted = [(self._topic, partition) for partition in partitions]
        committed = facts.committed(self._group, wanted)
        begins, ends = facts.beginnings(wanted), facts.high_watermarks(wanted)
        self._committed = {at: max(begins[at], committed.get(at, 0)) for at in wanted}
        return {at[1]: max(0, ends[at] - self._committed[at]) for at in wanted}

    def has_record(self, partition: int) -> bool:
        """Whether one of the offsets that the last `waiting` counted is a record that anybody can read."""
        at = (self._topic, partition)
        with closing(self._make_consumer()) as consumer:
            consumer.assign({at: self._committed[at]})
            until = self._clock.seconds() + PROBE_SECONDS
            while self._clock.seconds() < until and consumer.positions()[at] < consumer.end_offsets([at])[at]:
                if any(len(batch) for batch in consumer.poll(1, 100)):
                    return True
        return False

    def close(self) -> None:
        """Leave."""
        if self._facts:
            self._facts.close()
