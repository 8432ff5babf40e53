"""Answers: the values of the scores topic, keyed by user like the requests they answer.

Every request gets an answer, and its status says how to read it. An answer that was computed names the positions it was
computed at (log offsets, sequence window, model, vector space), which is what makes it replayable.

Invariant: `scores` and `retrieved`, where present, are aligned with `candidates`, in the request's order. What an
answer comes without, though it was asked for, is named in `left_out`; what it has is whole.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from muse_stream.streams.wire.features import Behaviours, Explanation, Features
from muse_stream.streams.wire.former import renewed
from muse_stream.streams.wire.ids import Id

Part = Literal["features", "explanation"]
"""What an answer may come without, though it was asked for."""


class Status(StrEnum):
    """How a request ended."""

    OK = "ok"  # computed
    PREFETCHED = "prefetched"  # the user's history is resident; nothing else was asked for
    NOT_READY = "not_ready"  # this owner is not caught up, or "not before" was not reached in time; ask again
    EXPIRED = "expired"  # the deadline had passed
    MALFORMED = "malformed"  # the request breaks the contract; `error` says where
    TOO_LARGE = "too_large"  # the request, or its answer, is above a limit
    OVERLOAD = "overload"  # shed; ask again later
    ERROR = "error"  # a fault of ours


class AnswerError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not computed: a stable code and a sentence for people."""

    code: str
    message: str
    retry_after_ms: int | None = None  # with `overload`: when the queue will be short enough, as predicted now


class Retrieved(msgspec.Struct, frozen=True):
    """The behaviours retrieved for one candidate, best first, as columns of one length."""

    item: list[int]
    time_ms: list[int]
    action: list[int]
    position: list[int]  # absolute sequence number in the user's history
    cosine: list[float]


class PartitionOffset(msgspec.Struct, frozen=True):
    """A position in a partitioned log: the next offset that is not yet in."""

    partition: int
    offset: int


class Positions(msgspec.Struct, frozen=True):
    """The log prefixes that an answer was computed from, each as the next offset wanted."""

    behaviours: PartitionOffset
    users: int
    items: int


class Window(msgspec.Struct, frozen=True):
    """The user's sequence numbers `[start, stop)` that were searched."""

    start: int
    stop: int


class Model(msgspec.Struct, frozen=True):
    """The artefact that scored."""

    digest: str
    version: str


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a record on the scores topic; fields that do not apply are left out."""

    request_id: str | None  # null only where the request's own could not be read
    user: str | None  # the request's key
    status: Status
    error: AnswerError | None = None
    candidates: list[Id] | None = None  # as sent
    scores: list[float] | None = None  # click probability per candidate
    retrieved: list[Retrieved] | None = None
    positions: Positions | None = None
    window: Window | None = None
    model: Model | None = None
    space: str | None = None
    history_length: int | None = None
    watermark_ms: int | None = None  # largest broker time among the partition's behaviours that are in
    stages_ms: dict[str, float] = {}
    stale_seconds: float | None = None  # of a copy that was not up to date: how late it was, at most
    behaviours: Behaviours | None = None  # with `explanation` or `features`
    explanation: Explanation | None = None
    features: Features | None = None
    left_out: list[Part] = []  # was asked for and is not here


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Answer)


def encode_answer(answer: Answer) -> bytes:
    """The record value of an answer."""
    return _ENCODER.encode(answer)


def decode_answer(value: bytes) -> Answer:
    """The answer in a record value, in this form or the former; unknown fields are read over.

    Raises msgspec.DecodeError.
    """
    try:
        return _DECODER.decode(value)
    except msgspec.ValidationError:
        return msgspec.convert(renewed(msgspec.json.decode(value)), Answer)
