"""A computed answer beside the request that it answers.

Invariant: a request belongs to an answer by record key and request id together; request ids are the clients' own.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from muse_stream.gsu_engine import quantise
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.wire.answers import Answer, Positions, Status, Window, decode_answer
from muse_stream.streams.wire.requests import CANDIDATES_MAX, BadRequest, Request, RequestRules, parse_request

COMPUTED = (Status.OK, Status.PREFETCHED)
NAME_BYTES = 16


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and what was answered.

    Attributes:
        request: As the worker read it.
        answer: As it was sent.
        positions: Of the answer.
        window: Of the answer.

    """

    request: Request
    answer: Answer
    positions: Positions
    window: Window

    @property
    def partition(self) -> int:
        """Of behaviours and users."""
        return self.positions.behaviours.partition

    @property
    def digest(self) -> str | None:
        """The model that scored; None where nothing was scored."""
        return self.answer.model.digest if self.answer.model and self.answer.scores else None


def request_rules(settings: Settings) -> RequestRules:
    """What a worker accepted: its spaces and actions, and no fewer candidates than anybody's."""
    return RequestRules(
        partition_count=settings.topics.partitions,
        spaces=settings.items.spaces,
        quantise=quantise,
        actions=settings.actions,
        candidates_max=max(CANDIDATES_MAX, settings.serving.candidates_max),
    )


def computed(value: bytes | None) -> Answer | Status | None:
    """A computed answer, the status of any other one, None for what is no answer."""
    try:
        answer = decode_answer(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if answer.status not in COMPUTED:
        return answer.status
    whole = answer.positions is not None and answer.window is not None and answer.request_id is not None
    return answer if whole else None


def exchange_of(answer: Answer, key: bytes, value: bytes, rules: RequestRules) -> Exchange | Unknown:
    """An answer from `computed` with its request's record."""
    request = parse_request(key, value, rules)
    if isinstance(request, BadRequest) or answer.positions is None or answer.window is None:
        return Unknown.REQUEST_UNREADABLE
    return Exchange(request, answer, answer.positions, answer.window)


def name_of(key: bytes, request_id: str) -> bytes:
    """16 bytes that stand for a record key and a request id."""
    return hashlib.blake2b(request_id.encode("utf-8", "surrogatepass") + b"\0" + key, digest_size=NAME_BYTES).digest()


class _OnlyId(msgspec.Struct):
    request_id: str | None = None


_ID_DECODER = msgspec.json.Decoder(_OnlyId)


def request_id_of(value: bytes | None) -> str | None:
    """The id in a request's record; None where there is none."""
    try:
        return _ID_DECODER.decode(value or b"").request_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
