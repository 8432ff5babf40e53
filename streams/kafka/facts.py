"""What a cluster says of itself and of its topics: ids, partition counts, high watermarks, whatever driver reads them.

Invariant: an answer is the brokers' at that moment; nothing is kept. Asked through kafka-python, which is always here:
librdkafka's Python client tells no topic ids, and a consumer of committed records not where the others end.
"""

import base64
from collections.abc import Iterable
from uuid import UUID

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError as ClientError

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.admin import cluster_id
from muse_stream.streams.kafka.consumer import Partition
from muse_stream.streams.kafka.python_client import connecting
from muse_stream.streams.kafka.reach import CLIENT_ID, CONNECT_TIMEOUT_MS, unreachable
from muse_stream.streams.kafka.security import Security
from muse_stream.streams.records import TopicFacts


class ClusterFacts:
    """A connection to ask by. Used by one thread at a time.

    Every question raises UnreachableError where no broker answers it.
    """

    def __init__(self, bootstrap: str, security: Security | None = None, *, client_id: str = CLIENT_ID) -> None:
        """Connect.

        Raises:
            UnreachableError: No broker answers, or none lets us in.

        """
        self._bootstrap, self._security = bootstrap, security or Security()
        with connecting(bootstrap, self._security, client_id, CONNECT_TIMEOUT_MS) as options:
            self._admin = KafkaAdminClient(**options)

    def cluster_id(self) -> str:
        """The id that the cluster gave itself when it was formatted."""
        try:
            return cluster_id(self._admin)
        except ClientError as error:
            raise self._unreachable(error) from error

    def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """Id and partition count of each topic; those that do not exist are left out."""
        try:
            described = self._admin.describe_topics(sorted(set(names)))
        except ClientError as error:
            raise self._unreachable(error) from error
        return {
            topic["name"]: TopicFacts(printed(topic.get("topic_id")), len(topic["partitions"]))
            for topic in described
            if topic["partitions"]
        }

    def high_watermarks(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Where the logs end, records of open transactions included."""
        return self._offsets(partitions, OffsetSpec.LATEST)

    def beginnings(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """First offsets."""
        return self._offsets(partitions, OffsetSpec.EARLIEST)

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """What a group has committed; partitions without a commit are left out."""
        wanted = [TopicPartition(*partition) for partition in partitions]
        try:
            found = self._admin.list_group_offsets({group: wanted})[group]
        except ClientError as error:
            raise self._unreachable(error) from error
        return {(at.topic, at.partition): int(one.offset) for at, one in found.items() if one.offset >= 0}

    def _offsets(self, partitions: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        try:
            found = self._admin.list_partition_offsets({TopicPartition(*partition): spec for partition in partitions})
        except ClientError as error:
            raise self._unreachable(error) from error
        return {(partition.topic, partition.partition): int(one.offset) for partition, one in found.items()}

    def close(self) -> None:
        """Leave."""
        self._admin.close()

    def _unreachable(self, error: ClientError) -> UnreachableError:
        return UnreachableError(unreachable(self._bootstrap, self._security, error))


def printed(topic_id: object) -> str:
    """A topic id as Kafka's own tools print it; "" for none, as brokers before 2.8 give."""
    if not topic_id:
        return ""
    number = UUID(str(topic_id))
    return base64.urlsafe_b64encode(number.bytes).decode().rstrip("=") if number.int else ""
