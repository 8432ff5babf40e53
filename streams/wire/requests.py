"""Requests: score these candidates for this user, on the user's own partition.

    {"request_id": "r-1", "candidates": [22423, "85123A", {"item": 7, "vector_int8": "DIEA…"}], "k": 50, "want": "both"}

The record key names the user; everything but `request_id` and `candidates` has a default, and a prefetch needs no
candidates.

Invariant: every pair of key and value parses to a Request that is within all limits, or to a BadRequest that says what
to answer; nothing raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.wire import idkernels
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.behaviour_json import parse_action
from muse_stream.streams.wire.canary import is_canary
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from muse_stream.streams.wire.ids import INT64_MAX, INT64_MIN, RESERVED_PREFIX, Id, IdField, parse_keys
from muse_stream.streams.wire.partitioner import WRONG_PARTITIONER_ADVICE, partition_of_key
from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.values import BadRecordError, bad, parse_id, parse_legal_id, parse_value
from muse_stream.streams.wire.vectors import (
    DEFAULT_SPACE,
    Quantise,
    Vector,
    VectorFields,
    dimension_of,
    stack,
    vector_of,
)

CANDIDATES_MAX = 2_000
K_MAX, K_DEFAULT = 200, 50
VALUE_BYTES_MAX = 1_048_576  # Kafka's default message size
Want = Literal["scores", "retrieved", "both"]


class Candidate(VectorFields, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A candidate that brings its own vector, used instead of the item log's for this request alone."""

    item: IdField


class NotBefore(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The client's own write on the behaviours topic, which the answer must have seen."""

    partition: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Meta(ge=0, le=INT64_MAX)]


class FilterFields(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which behaviours may be retrieved: event time in `[since_ms, until_ms)`, and actions; absent = all."""

    since_ms: int | None = None
    until_ms: int | None = None
    actions: list[Id] | None = None
    exclude_candidate: Annotated[
        bool,
        Meta(description="Not the candidate's own behaviours: what else the user did that is like it."),
    ] = False


class RequestValue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The value of a record on the requests topic."""

    request_id: Annotated[str, Meta(min_length=1, max_length=200, description="Comes back in the answer.")]
    user: Annotated[IdField | None, Meta(description="The user once more; must be the record key's id.")] = None
    candidates: Annotated[
        list[IdField | Candidate],
        Meta(
            description="1 to 2 000 items: ids, or objects with a vector of their own; none for a prefetch.",
            extra_json_schema={"maxItems": CANDIDATES_MAX},
        ),
    ] = []
    k: Annotated[
        int,
        Meta(description="Behaviours to retrieve per candidate.", extra_json_schema={"minimum": 1, "maximum": K_MAX}),
    ] = K_DEFAULT
    want: Want = "scores"
    space: Annotated[str | None, Meta(description="The space of the candidates' own vectors; default v1.")] = None
    context: Annotated[
        dict[str, IdField | None], Meta(description="Features of this moment; they win over the profile's.")
    ] = {}
    filters: FilterFields | None = None
    prefetch: Annotated[bool, Meta(description="Only make the user's history resident.")] = False
    explain: Annotated[
        bool | list[IdField],
        Meta(description="With scores: why they are what they are; of the first candidates, or of these."),
    ] = False
    features: Annotated[bool, Meta(description="With scores: what the network read, to be logged.")] = False
    not_before: NotBefore | None = None
    deadline_ms: Annotated[
        int | None, Meta(description="Worth computing for this long after the broker received it.")
    ] = None


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What is accepted on the requests topic.

    Attributes:
        partition_count: Of the requests topic, the same as of behaviours.
        spaces: Configured vector spaces and their dimensions.
        quantise: The one rule that turns float32 rows into int8 rows.
        actions: Names of actions and their numbers.

    """

    partition_count: int
    spaces: Mapping[str, int]
    quantise: Quantise
    actions: Mapping[str, int] = field(default_factory=lambda: DEFAULT_ACTIONS)
    candidates_max: int = CANDIDATES_MAX
    k_max: int = K_MAX
    bytes_max: int = VALUE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Filters:
    """Which behaviours may be retrieved: event time in `[since_ms, until_ms)`, action numbers; None = no bound.

    `exclude_candidate`: none with the candidate's own item.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    actions: tuple[int, ...] | None = None
    exclude_candidate: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request within all limits.

    Attributes:
        request_id: The client's name for it.
        user: The user's id; `user_text` is the record key as text.
        candidates: As sent, for the answer; `items [C] int64` are their ids.
        own_rows: `[m] int64` which candidates bring a vector; `own_vectors [m, d] int8` are those, in `space`.
        k: Behaviours to retrieve per candidate.
        want: What to return.
        context: Features of this moment, as ids.
        deadline_ms: Counted from the record's broker time; None = the worker's own bound.
        explain_rows: `[e] int64` which candidates to explain, ascending.
        features: Whether to return what the network read.

    """

    request_id: str
    user: int
    user_text: str
    candidates: list[Id]
    items: NDArray[np.int64]
    own_rows: NDArray[np.int64]
    own_vectors: NDArray[np.int8]
    space: str
    k: int
    want: Want
    context: dict[str, int]
    filters: Filters | None
    prefetch: bool
    explain_rows: NDArray[np.int64]
    not_before: NotBefore | None
    deadline_ms: int | None
    features: bool = False


@dataclass(frozen=True, slots=True)
class BadRequest:
    """What to answer to a request that breaks the contract; `status` is MALFORMED or TOO_LARGE."""

    request_id: str | None
    user_text: str | None
    status: Status
    code: str
    message: str


class _OnlyId(msgspec.Struct):
    request_id: str | None = None


_DECODER = msgspec.json.Decoder(RequestValue)
_ID_DECODER = msgspec.json.Decoder(_OnlyId)


def parse_request(
    key: bytes | None, value: bytes | None, rules: RequestRules, *, partition: int | None = None
) -> Request | BadRequest:
    """A request, or what to answer instead.

    Args:
        key: The record's key.
        value: The record's value.
        rules: What is accepted.
        partition: The partition that the record came on; None leaves it unchecked.

    """
    try:
        if value is not None and len(value) > rules.bytes_max:
            bad(Reason.OVERSIZE, f"the request has {len(value)} bytes, at most {rules.bytes_max} are read; send less")
        return _request(key, value, rules, partition)
    except BadRecordError as error:
        status = Status.TOO_LARGE if error.reason is Reason.OVERSIZE else Status.MALFORMED
        text = None if key is None else key.decode("utf-8", "replace")
        return BadRequest(_readable_id(value), text, status, error.reason.value, error.detail)


def _request(key: bytes | None, data: bytes | None, rules: RequestRules, partition: int | None) -> Request:
    user, user_text = _user(key, rules, partition)
    if not data:
        bad(Reason.EMPTY_VALUE, "the request has no value; send a JSON object")
    value = parse_value(_DECODER, data, "requests")
    if value.user is not None and parse_id(value.user, "user") != user:
        bad(Reason.KEY_MISMATCH, f"field user is {value.user!r}, the record's key is {user_text!r}; send them equal")
    _check_limits(value, rules)
    plain: list[Id] = [sent.item if isinstance(sent, Candidate) else sent for sent in value.candidates]
    space = value.space or DEFAULT_SPACE
    own_rows, own_vectors = _own_vectors(value, space, rules)
    items = _items(plain, rules)
    return Request(
        request_id=value.request_id,
        user=user,
        user_text=user_text,
        candidates=plain,
        items=items,
        own_rows=own_rows,
        own_vectors=own_vectors,
        space=space,
        k=value.k,
        want=value.want,
        context={name: parse_id(sent, f"context.{name}") for name, sent in value.context.items() if sent is not None},
        filters=_filters(value.filters, rules),
        prefetch=value.prefetch,
        explain_rows=_explain_rows(value.explain, items, rules),
        not_before=value.not_before,
        deadline_ms=value.deadline_ms,
        features=value.features,
    )


def _user(key: bytes | None, rules: RequestRules, partition: int | None) -> tuple[int, str]:
    keys = parse_keys([key])
    flag = keys.flag[0]
    if key is None or flag in (idkernels.ABSENT, idkernels.EMPTY):
        bad(Reason.MISSING_KEY, "the request has no key; send the user id's text as key")
    if flag == idkernels.RESERVED and not is_canary(key, rules.partition_count):
        bad(Reason.RESERVED_ID, f"the key begins with {RESERVED_PREFIX}, which is kept for the system")
    if flag in (idkernels.ZERO, idkernels.NON_ASCII):
        bad(Reason.BAD_ID, f"the key {key!r} is no id; send the user id's text in UTF-8, not 0")
    if partition is not None and (right := partition_of_key(key, rules.partition_count)) != partition:
        detail = f"the key belongs on partition {right}, not {partition}; {WRONG_PARTITIONER_ADVICE}"
        bad(Reason.WRONG_PARTITION, detail)
    return int(keys.id[0]), key.decode()


def _check_limits(value: RequestValue, rules: RequestRules) -> None:
    count = len(value.candidates)
    if count > rules.candidates_max:
        bad(Reason.OVERSIZE, f"{count} candidates; at most {rules.candidates_max} are scored, split the request")
    if not count and not value.prefetch:
        bad(Reason.OUT_OF_RANGE, "no candidates; send at least one, or prefetch: true")
    if not 1 <= value.k <= rules.k_max:
        bad(Reason.OUT_OF_RANGE, f"k is {value.k}; send 1..{rules.k_max}")
    if value.deadline_ms is not None and not 1 <= value.deadline_ms <= INT64_MAX:
        bad(Reason.OUT_OF_RANGE, f"deadline_ms is {value.deadline_ms}; send a positive number of milliseconds")


def _items(candidates: list[Id], rules: RequestRules) -> NDArray[np.int64]:
    """Ids of candidates `[C] int64`; plain numbers, the common case, without a call for each."""
    if set(map(type, candidates)) == {int}:
        try:
            items = np.array(candidates, np.int64)
        except OverflowError:
            items = np.zeros(1, np.int64)  # told apart below, with its detail
        if items.all():
            return items
    parsed = (parse_legal_id(item, "candidate") for item in candidates)
    return np.fromiter(parsed, np.int64, len(candidates))


def _explain_rows(sent: bool | list[Id], items: NDArray[np.int64], rules: RequestRules) -> NDArray[np.int64]:
    """Rows of the candidates that are to be explained."""
    if isinstance(sent, bool):
        return np.arange(len(items) if sent else 0)
    wanted = [parse_legal_id(item, "explain") for item in sent]
    strange = np.flatnonzero(~np.isin(np.array(wanted, np.int64), items))
    if len(strange):
        bad(Reason.OUT_OF_RANGE, f"explain names {sent[strange[0]]!r}, which is no candidate; name candidates, or true")
    return np.flatnonzero(np.isin(items, wanted))


def _own_vectors(value: RequestValue, space: str, rules: RequestRules) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    dimension = dimension_of(space, rules.spaces)
    rows: list[int] = []
    vectors: list[Vector] = []
    for row, sent in enumerate(value.candidates):
        vector = vector_of(sent, dimension) if isinstance(sent, Candidate) else None
        if vector is not None:
            rows.append(row)
            vectors.append(vector)
    return np.array(rows, np.int64), stack(vectors, dimension, rules.quantise)


def _check_range(value: int | None, name: str) -> None:
    if value is not None and not INT64_MIN <= value <= INT64_MAX:
        bad(Reason.OUT_OF_RANGE, f"{name} is {value}; send a number within int64")


def _filters(fields: FilterFields | None, rules: RequestRules) -> Filters | None:
    if fields is None:
        return None
    _check_range(fields.since_ms, "filters.since_ms")
    _check_range(fields.until_ms, "filters.until_ms")
    actions = None if fields.actions is None else tuple(parse_action(sent, rules.actions) for sent in fields.actions)
    return Filters(fields.since_ms, fields.until_ms, actions, fields.exclude_candidate)


def _readable_id(value: bytes | None) -> str | None:
    try:
        return _ID_DECODER.decode(value or b"").request_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
