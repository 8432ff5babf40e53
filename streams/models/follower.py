"""Reads the control topic from its beginning and goes on reading: what each slot is to have, what each worker runs.

Invariant: nothing is shown or told before the topic was read to where it ended at the start; from then on each change
of a slot is told once, in order. So nobody loads a model that was replaced long ago.

A record that cannot be read is logged, counted and skipped. Brokers that are away are waited for. While there is no
topic, what was known stays.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from muse_stream.streams.errors import PositionError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.kafka.consumer import BatchConsumer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.models.control import SLOTS, Activation, Slot
from muse_stream.streams.models.state import ControlState, Seen

log = logging.getLogger(__name__)

POLL_MS = 500
"""A record that comes ends the wait at once."""
POLL_RECORDS = 1000
LOOK_SECONDS = 10.0
"""Between two looks whether the topic is there, and still the same: as often as ingest looks at its logs."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 2.0
"""The thread is a daemon; brokers that do not answer do not hold up a stop."""

OnChange = Callable[[Slot, Activation | None], None]


def ignore(slot: Slot, activation: Activation | None) -> None:
    """Do nothing about a change."""


class ControlFollower(LoopThread):
    """Readable from any thread.

    Attributes:
        caught_up: Done once everything that was in the topic at the start is known, and also where there is no topic.
        topic_missing: Whether the last look found no such topic.
        trouble: What the last talk with the brokers came to; None since one went well.

    """

    def __init__(
        self,
        topic: str,
        make_facts: Callable[[], ClusterFacts],
        make_consumer: Callable[[], BatchConsumer],
        *,
        on_change: OnChange = ignore,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; `start` begins to read.

        Args:
            topic: The control topic.
            make_facts: Connects to ask whether it is there.
            make_consumer: Connects to read it; a consumer without a group.
            on_change: Called in this thread once caught up for each slot that has something, then for each change;
                None where a slot is empty now. It must be quick; what it raises is logged.
            clock: Time.

        """
        self._clock = clock or Clock()
        super().__init__("models", self._clock.seconds)
        self._topic, self._at = topic, (topic, 0)
        self._make_facts, self._make_consumer, self._on_change = make_facts, make_consumer, on_change
        self._facts: ClusterFacts | None = None
        self._consumer: BatchConsumer | None = None
        self._topic_id = ""
        self._look_at = 0.0
        self._reading = self._shown = ControlState()
        self._target: int | None = None
        self._told: dict[Slot, Activation] = {}
        self.caught_up: Future[None] = Future()
        self.topic_missing = False
        self.trouble: str | None = None

    def current(self, slot: Slot) -> Activation | None:
        """What the slot is to have; None: nothing, or not caught up yet."""
        return self._shown.slots().get(slot) if self.caught_up.done() else None

    def reports(self) -> dict[str, Seen]:
        """The last report of each worker that has not left in order, by worker."""
        return self._shown.reports()

    @property
    def skipped(self) -> int:
        """Records of the topic that could not be read."""
        return self._shown.skipped

    def close(self) -> None:
        """Follow no more."""
        self.abandon(CLOSE_SECONDS)

    def _turn(self) -> float:
        try:
            if self._clock.seconds() >= self._look_at:
                self._look()
            batches = self._consumer.poll(POLL_RECORDS, POLL_MS) if self._consumer else []
            for batch in batches:
                self._reading.take(batch)
            self._note_progress()
        except PositionError as error:
            log.warning("the control topic was cut or created again; it is read from its beginning: %s", error)
            self._disconnect()
            self._look_at = 0.0
            return RETRY_SECONDS
        except Exception as error:
            self._failed(error)
            return RETRY_SECONDS
        self.trouble = None
        return 0.0 if self._consumer else RETRY_SECONDS

    def _look(self) -> None:
        """Ask for the topic; begin to read it where it is new."""
        self._facts = self._facts or self._make_facts()
        found = self._facts.topics([self._topic]).get(self._topic)
        self._look_at = self._clock.seconds() + LOOK_SECONDS
        if found is None:
            self._no_topic()
        elif self._consumer is None or found.topic_id != self._topic_id:
            self._disconnect()
            self._begin()
            self._topic_id, self.topic_missing = found.topic_id, False

    def _no_topic(self) -> None:
        if not self.topic_missing:
            log.warning(
                "topic %s does not exist: no model can be activated while this runs, what is in service stays. "
                "Operator action: run muse-stream topics create",
                self._topic,
            )
        self._disconnect()
        self.topic_missing = True
        self._catch_up()

    def _begin(self) -> None:
        consumer = self._make_consumer()
        self._consumer = consumer
        self._target = consumer.end_offsets([self._at])[self._at]
        consumer.assign({self._at: consumer.beginning_offsets([self._at])[self._at]})
        self._reading = ControlState()

    def _note_progress(self) -> None:
        """Show what has been read once it reaches the end as it was when the reading began."""
        if self._consumer is None:
            return
        if self._target is not None:
            if self._consumer.positions()[self._at] < self._target:
                return
            self._target, self._shown = None, self._reading
            self._catch_up()
        self._tell()

    def _catch_up(self) -> None:
        if not self.caught_up.done():
            self.caught_up.set_result(None)

    def _tell(self) -> None:
        slots = self._shown.slots()
        for slot in SLOTS:
            if slots.get(slot) == self._told.get(slot):
                continue
            try:
                self._on_change(slot, slots.get(slot))
            except Exception:
                log.exception("a change of slot %s was not taken", slot)
        self._told = slots

    def _failed(self, error: Exception) -> None:
        if self.trouble is None:
            log.warning("the control topic cannot be read; trying again: %s", error)
        self.trouble = f"{type(error).__name__}: {error}"
        self._disconnect()
        self._look_at = 0.0

    def _disconnect(self) -> None:
        """Leave the brokers; what was read stays shown."""
        consumer, self._consumer = self._consumer, None
        facts, self._facts = self._facts, None
        for connection in (consumer, facts):
            if connection is not None:
                with suppress(Exception):
                    connection.close()

    def _wake(self) -> None:
        consumer = self._consumer
        if consumer is not None:
            consumer.wakeup()

    def _release(self) -> None:
        self._disconnect()
