"""The wire of the topic `models`: which model each slot has, and what each worker runs.

    key             value, JSON            null value
    slot/live       Activation             no activation: a worker starts with the model of its settings
    slot/shadow     Activation             ends the shadow
    worker/<id>     WorkerReport           the worker left in order

The latest record of a key counts; one partition, so all readers see one order. A worker repeats its report every
`REPEAT_SECONDS`; one that the broker stamped longer ago than `STALE_MS` is of a worker that is gone or hangs.

Invariant: what is encoded here can be decoded, and what `decode` gives can be used: a model's name is a plain folder
name, its digest 64 hex digits, the slot that of the key. Unknown fields are ignored, so fields may be added; a field
never changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from muse_stream.esu_scorer.store import NAME_PATTERN
from muse_stream.streams.errors import WireError

T = TypeVar("T")
Slot = Literal["live", "shadow"]
SLOTS: tuple[Slot, ...] = ("live", "shadow")
Step = Literal["fetching", "checking", "filling", "warming"]
"""What a worker does with a model before it serves it; `filling`: the vectors of its space are being read."""

PREVIOUS_MAX = 10
REPEAT_SECONDS = 60.0
STALE_MS = 180_000
"""Two repeats may be late or lost."""

Name = Annotated[str, Meta(pattern=rf"\A{NAME_PATTERN}\Z")]
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Text = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(gt=0, le=1)]

_SLOT, _WORKER = "slot/", "worker/"


class Ref(msgspec.Struct, frozen=True):
    """An artefact of the store."""

    name: Name
    digest: Digest


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot is to have. Raises `ValueError` at construction: the share does not fit the slot.

    Attributes:
        slot: `live` answers; `shadow` scores beside it and is only compared.
        name: Name in the store.
        digest: What has to be found there under that name.
        space: Vector space of the model.
        share: Of the requests that a shadow scores; None for `live`.
        by: Who asked, for people.
        at_ms: When, by the clock of who asked; names this activation in refusals.
        previous: What the slot had before, latest first, at most `PREVIOUS_MAX`.

    """

    slot: Slot
    name: Name
    digest: Digest
    space: Text
    by: str
    at_ms: int
    share: Share | None = None
    previous: tuple[Ref, ...] = ()

    def __post_init__(self) -> None:
        if (self.slot == "shadow") != (self.share is not None):
            msg = f"slot {self.slot!r} with share {self.share}; a shadow has a share of the requests, live has none"
            raise ValueError(msg)

    @property
    def ref(self) -> Ref:
        """The artefact alone."""
        return Ref(self.name, self.digest)


class Running(msgspec.Struct, frozen=True):
    """A model in service; `name` may be that of a model outside the store."""

    name: str
    digest: Digest
    space: Text


class Loading(msgspec.Struct, frozen=True):
    """A model on its way into service; `coverage`: share of the items' vectors of its space that are there."""

    name: str
    digest: Digest
    step: Step
    coverage: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """The last activation that a worker did not follow; `at_ms` is that activation's."""

    name: str
    digest: Digest
    reason: str
    at_ms: int


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker runs; `live` is None while it has no model, `at_ms` is of the worker's clock."""

    worker: Text
    at_ms: int
    live: Running | None
    shadow: Running | None = None
    loading: Loading | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class SlotSet:
    """A record of a slot; None: a null value."""

    slot: Slot
    activation: Activation | None


@dataclass(frozen=True, slots=True)
class Reported:
    """A record of a worker; None: a null value."""

    worker: str
    report: WorkerReport | None


Record = tuple[bytes, bytes | None]


def encode_activation(activation: Activation) -> Record:
    """Key and value of an activation. Raises `WireError`: a field is not as its type says."""
    return _checked(f"{_SLOT}{activation.slot}", activation)


def encode_end(slot: Slot) -> Record:
    """Key and null value that empty a slot."""
    return f"{_SLOT}{slot}".encode(), None


def encode_report(report: WorkerReport) -> Record:
    """Key and value of a worker's report. Raises `WireError`: a field is not as its type says."""
    return _checked(f"{_WORKER}{report.worker}", report)


def encode_leave(worker: str) -> Record:
    """Key and null value of a worker that ends in order."""
    return f"{_WORKER}{worker}".encode(), None


def decode(key: bytes | None, value: bytes | None) -> SlotSet | Reported:
    """Read one record. Raises `WireError`: another key, a value that is not as above, or not of this key."""
    name = (key or b"").decode(errors="replace")
    if name.startswith(_WORKER) and len(name) > len(_WORKER):
        return _reported(name.removeprefix(_WORKER), value)
    for slot in SLOTS:
        if name == _SLOT + slot:
            return _slot_set(slot, value)
    msg = f"key {name[:100]!r} is none of slot/live, slot/shadow, worker/<id>; another release or program wrote it"
    raise WireError(msg)


def _checked(name: str, value: msgspec.Struct) -> Record:
    record = name.encode(), msgspec.json.encode(value)
    decode(*record)
    return record


def _slot_set(slot: Slot, value: bytes | None) -> SlotSet:
    if value is None:
        return SlotSet(slot, None)
    found = _parse(value, Activation, _SLOT + slot)
    if found.slot != slot:
        msg = f"slot/{slot} has a value of slot {found.slot!r}; write both alike"
        raise WireError(msg)
    return SlotSet(slot, found)


def _reported(worker: str, value: bytes | None) -> Reported:
    if value is None:
        return Reported(worker, None)
    found = _parse(value, WorkerReport, _WORKER + worker)
    if found.worker != worker:
        msg = f"worker/{worker} has a report of worker {found.worker!r}; write both alike"
        raise WireError(msg)
    return Reported(worker, found)


def _parse(value: bytes, kind: type[T], key: str) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"{key}: the value is no {kind.__name__} ({error}); see docs/models.md for its fields"
        raise WireError(msg) from error
