"""The dead-letter producer on a real Kafka client.

Invariant: sending never makes the ingest thread wait, neither for metadata nor for a full buffer: a thread of its own
hands the letters to the client and looks for acknowledgements.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.kafka.producer import Pending, RecordProducer
from muse_stream.streams.wire.rejects import Reject, encode_dead_letter

LOOK_SECONDS = 0.002
"""Between two looks for acknowledgements; a broker next door takes about as long."""
REST_SECONDS = 1.0
"""Between two looks for a stop; a letter ends it."""
CLOSE_SECONDS = 1.0
"""The thread is a daemon, and letters that are not acknowledged are sent again after a restart."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """Letters on their way, and who waits for all of them."""

    pending: Sequence[Pending]
    answer: "Future[None]"

    def landed(self) -> bool:
        """Answer if all have been acknowledged, or one has failed."""
        done = [pending for pending in self.pending if pending.done()]
        failure = next((error for pending in done if (error := pending.exception()) is not None), None)
        if failure is None and len(done) < len(self.pending):
            return False
        if failure is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(failure)
        return True


class KafkaLetterSink(LoopThread):
    """`DeadLetterSink` on a producer, which stays its owner's to close. Thread-safe.

    Args:
        producer: Sends.
        topic: The dead-letter topic.
        sent: Told of rejects whose letters the broker has, in the sink's thread; it must be quick.

    """

    def __init__(
        self, producer: RecordProducer, topic: str, sent: Callable[[Sequence[Reject]], None] = lambda _: None
    ) -> None:
        super().__init__("dead-letters")
        self._producer, self._topic, self._sent = producer, topic, sent
        self._flights: list[_Flight] = []
        self.start()

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        """Send in the background; the future is done when all are acknowledged, or has the first failure."""
        answer: Future[None] = Future()
        answer.add_done_callback(lambda done: self._note(rejects, done))
        handed = self.call(lambda: self._send(rejects, answer))
        handed.add_done_callback(lambda done: _pass_on(done, answer))
        return answer

    def close(self) -> None:
        """End the thread; returns soon, also when the broker is away."""
        self.abandon(CLOSE_SECONDS)

    def _send(self, rejects: Sequence[Reject], answer: "Future[None]") -> None:
        letters = [encode_dead_letter(reject) for reject in rejects]
        self._flights.append(_Flight([self._producer.send(self._topic, *letter) for letter in letters], answer))

    def _note(self, rejects: Sequence[Reject], done: "Future[None]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._sent(rejects)

    def _turn(self) -> float:
        self._flights = [flight for flight in self._flights if not flight.landed()]
        return LOOK_SECONDS if self._flights else REST_SECONDS

    def _wake(self) -> None:
        """The command itself ends the rest."""

    def _release(self) -> None:
        for flight in self._flights:
            flight.answer.cancel()


def _pass_on(done: "Future[None]", answer: "Future[None]") -> None:
    failure = done.exception()
    if failure is not None:
        answer.set_exception(failure)
