"""The Faust application: membership, assignment and the requests stream; it never sees a behaviour.

Faust's protocol facts that this module relies on (0.15, tried against Kafka 4.3):

* Every rebalance revokes all partitions first and then assigns a new set. The assigned set is the whole truth;
  "revoked" only means "do not answer until the next assignment".
* `stream.noack()` leaves an event unacknowledged until `event.ack()`: called once the broker has the answer, so a
  killed worker's unanswered requests reach the next owner (at least once).
* Only Faust's own assignor tells every worker which URL owns which partition, and it leaves partitions where they are
  when it can; but without tables it is used only if `table_standby_replicas` is above 0, and then a joining worker can
  stay without partitions. So the setting is 1 and `OwnersAssignor` keeps the standbys at 0.
* Faust throws away what a fetch brings while a rebalance stops its flow, and goes back to the committed offsets to read
  it again. A partition of which nothing was ever committed has none, and aiokafka's position has moved: what was thrown
  away would be lost. So `Consumer` goes back to the log's beginning there.
* `topic_disable_leader`, `topic_allow_declare=False`: topics are created by `muse-stream topics create`, nobody else.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import faust
from faust.assignor import PartitionAssignor
from faust.transport.drivers.aiokafka import Consumer as AioConsumer

from muse_stream.streams.records import Headers
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.http import MAX_BODY_BYTES


class Assigned(Protocol):
    """What follows the partitions of the requests topic."""

    async def assigned(self, partitions: frozenset[int]) -> None:
        """This worker owns exactly these partitions now."""

    async def suspended(self) -> None:
        """A rebalance is under way: nothing is owned until `assigned`."""


class _Known:
    """A cluster as its metadata has it, where a topic that the metadata lacks has the configured partitions."""

    def __init__(self, cluster: Any, count: int) -> None:  # noqa: ANN401 - aiokafka's ClusterMetadata
        self._cluster, self._count = cluster, count

    def partitions_for_topic(self, topic: str) -> set[int]:
        """The numbers of the topic's partitions."""
        return set(self._cluster.partitions_for_topic(topic) or range(self._count))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._cluster, name)


class OwnersAssignor(PartitionAssignor):
    """Faust's assignor without standbys: partitions stay with their owners, and every worker knows the owners' URLs.

    A broker that has just started may tell the group's leader of no topics at all. Faust would then give nobody
    anything, and since nobody joins anew for that, for good.
    """

    def __init__(self, app: faust.App, replicas: int = 0) -> None:
        del replicas  # the setting is not 0 only so that Faust uses this class
        super().__init__(app, replicas=0)

    def assign(self, cluster: Any, member_metadata: Any) -> Any:  # noqa: ANN401 - Faust's and aiokafka's own
        """Assignments by member."""
        return super().assign(_Known(cluster, self.app.conf.topic_partitions), member_metadata)


class Consumer(AioConsumer):
    """Faust's, which reads a partition without a commit from its beginning whenever it seeks."""

    async def seek_to_committed(self) -> Mapping[Any, Any]:
        """Seek all partitions to where reading begins; committed offsets by partition, None where there is none."""
        committed = await super().seek_to_committed()
        new = [partition for partition, offset in committed.items() if not offset]
        if new:
            await self._thread.seek_wait(await self._thread.earliest_offsets(*new))
        return committed


class App(faust.App):
    """A Faust application whose consumer is ours."""

    def _new_transport(self) -> Any:  # noqa: ANN401 - Faust's
        made: Any = super()._new_transport()
        made.Consumer = Consumer
        return made


def create_app(settings: Settings) -> faust.App:
    """The Faust application of these settings, without agents."""
    brokers = ";".join(f"kafka://{address}" for address in settings.kafka.brokers.split(","))
    return App(
        settings.app.name,
        broker=brokers,
        broker_credentials=settings.kafka.security.faust(),
        broker_commit_interval=1.0,
        broker_session_timeout=settings.app.session_timeout_seconds,
        broker_heartbeat_interval=settings.app.session_timeout_seconds / 6,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.app.instance_id,
        producer_max_request_size=settings.serving.answer_max_bytes + 64_000,
        producer_acks=-1,
        datadir=str(settings.state.directory / "faust"),
        store="memory://",
        PartitionAssignor=OwnersAssignor,
        table_standby_replicas=1,
        topic_partitions=settings.topics.partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        web_enabled=settings.http.enabled,
        web_host=settings.http.advertised_host or settings.http.host,
        web_bind=settings.http.host,
        web_port=settings.http.port,
        web_application_options={"client_max_size": MAX_BODY_BYTES},
        logging_config=None,
    )


def follow_assignment(app: faust.App, topic: str, follower: Assigned) -> None:
    """Tell `follower` of every change in the partitions of `topic` that this worker owns."""

    async def on_assigned(_: Any, assigned: Iterable[Any], **__: Any) -> None:  # noqa: ANN401
        await follower.assigned(frozenset(tp.partition for tp in assigned if tp.topic == topic))

    async def on_revoked(_: Any, revoked: Iterable[Any], **__: Any) -> None:  # noqa: ANN401
        if any(tp.topic == topic for tp in revoked):
            await follower.suspended()

    signals: Any = app  # Faust's annotations ask for a signature that its own callers do not use
    signals.on_partitions_assigned.connect(on_assigned, weak=False)
    signals.on_partitions_revoked.connect(on_revoked, weak=False)


def handle_requests(app: faust.App, topic: str, handle: Callable[[Any], Awaitable[None]]) -> None:
    """Pass every event of `topic` to `handle`, which acknowledges it; `handle` must not raise."""
    requests = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def answer(stream: Any) -> None:  # noqa: ANN401
        async for event in stream.noack().events():
            await handle(event)

    app.agent(requests, name="muse.requests")(answer)


def sender(app: faust.App) -> Callable[..., Awaitable[Any]]:
    """Send with the producer that Faust has at that moment; done when the broker has said where the record is."""

    async def send(topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> Any:  # noqa: ANN401 - aiokafka's metadata
        return await app.producer.send_and_wait(topic, key, value, partition=None, timestamp=None, headers=headers)

    return send


def owner_url(app: faust.App, topic: str, partition: int) -> str | None:
    """Base URL of the worker that owns a partition, None while nobody does."""
    owners = (url for url, partitions in owned_by(app, topic).items() if partition in partitions)
    return next(owners, None)


def owned_by(app: faust.App, topic: str) -> dict[str, Iterable[int]]:
    """Base URL of every worker of the group, to the partitions that it was given in the last assignment."""
    assignor: Any = app.assignor  # the protocol that Faust annotates lacks this method of its own assignor
    distribution: Mapping[str, Mapping[str, Iterable[int]]] = assignor.external_topics_metadata()
    return {url: topics.get(topic, ()) for url, topics in distribution.items()}


def own_url(app: faust.App) -> str:
    """Base URL under which the other workers know this one."""
    return str(app.conf.canonical_url)
