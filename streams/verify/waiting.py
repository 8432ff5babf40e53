"""Answers that wait: for their request, for the logs to reach their moment, and for others that may come before them.

Invariant: every answer taken in comes out once, joined or with a reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from muse_stream.streams.verify.exchanges import Exchange, exchange_of, name_of, request_id_of
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.requests import RequestRules

BYTES_MAX = 256 << 20
"""Of answers that wait; what comes on top is `NO_ROOM`."""
REQUESTS_SECONDS = 600.0
"""So long a request is kept for its answer, and for a second one: deadlines are far shorter."""


@dataclass(slots=True)
class Waiting:
    """One answer that waits since `came`; `exchange` once its request is known."""

    came: float
    name: bytes
    answer: Answer
    weight_bytes: int
    exchange: Exchange | None = None


class WaitingRoom:
    """Requests and answers as they come, in any order."""

    def __init__(self, rules: RequestRules) -> None:
        self._rules = rules
        self._answers: list[Waiting] = []
        self._requests: dict[bytes, tuple[float, bytes, bytes | None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[Waiting]:
        """Those that wait, in the order in which they came."""
        return iter(self._answers)

    @property
    def oldest(self) -> float | None:
        """When the first of those that wait came."""
        return self._answers[0].came if self._answers else None

    def request(self, key: bytes, value: bytes, now: float) -> None:
        """Keep a request."""
        request_id = request_id_of(value)
        if request_id is None:
            return
        name = name_of(key, request_id)
        found = self._requests.get(name)
        if found is None:
            self._requests[name] = (now, key, value)
        elif found[2] != value:
            self._requests[name] = (found[0], key, None)

    def answer(self, key: bytes, answer: Answer, weight_bytes: int, now: float) -> Unknown | None:
        """Let a computed answer wait; a reason where there is no room for it."""
        if self._bytes + weight_bytes > BYTES_MAX:
            return Unknown.NO_ROOM
        self._bytes += weight_bytes
        self._answers.append(Waiting(now, name_of(key, answer.request_id or ""), answer, weight_bytes))
        return None

    def join(self, one: Waiting) -> Exchange | Unknown:
        """The answer with its request."""
        if one.exchange is None:
            found = self._requests.get(one.name)
            if found is None:
                return Unknown.REQUEST_GONE
            _, key, value = found
            if value is None:
                return Unknown.REQUEST_AMBIGUOUS
            joined = exchange_of(one.answer, key, value, self._rules)
            if isinstance(joined, Unknown):
                return joined
            one.exchange = joined
        return one.exchange

    def leave(self, gone: list[Waiting]) -> None:
        """These wait no more."""
        left = {id(one) for one in gone}
        self._answers = [one for one in self._answers if id(one) not in left]
        self._bytes -= sum(one.weight_bytes for one in gone)

    def forget(self, now: float) -> None:
        """Let go of requests that nobody can ask for any more."""
        while self._requests and now - (first := next(iter(self._requests.items())))[1][0] > REQUESTS_SECONDS:
            del self._requests[first[0]]
