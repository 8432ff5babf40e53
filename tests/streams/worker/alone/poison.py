"""Records that cannot be used, one of every kind, and why; good ones of the same topics."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from muse_stream.streams.records import Headers
from muse_stream.streams.wire.encode import FRAME_HEADERS
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.partitioner import partition_of_key
from tests.streams.worker.client import TIME_MS
from tests.streams.worker.installation import DIMENSION

PARTITIONS = 4
USER = 501
KEY = str(USER).encode()
HOME = partition_of_key(KEY, PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS
NEIGHBOUR = next(user for user in range(502, 999) if partition_of_key(str(user).encode(), PARTITIONS) == HOME)
STRANGER = next(user for user in range(502, 999) if partition_of_key(str(user).encode(), PARTITIONS) == AWAY)
FAR_MS = 99_999_999_999_999


@dataclass(frozen=True)
class Poison:
    """A record; `partition` None puts it where its key belongs."""

    reason: str
    value: bytes | None
    key: bytes | None = KEY
    headers: Headers | None = None
    partition: int | None = None


def behaviour(**fields: Any) -> bytes:
    return json.dumps({"item": 1, "time_ms": TIME_MS, "action": "click", **fields}).encode()


def frame(users: list[int], **columns: list[int]) -> bytes:
    n = len(users)
    usual = {"item": list(range(1, n + 1)), "time_ms": [TIME_MS] * n, "action": [1] * n}
    return encode_frame(users, **{**usual, **columns})


def behaviours() -> Iterator[Poison]:
    for value in (b"{", b"rank these", b"\xff\xfe\x00", behaviour()[:-1], behaviour() * 2):
        yield Poison("bad_json", value)
    yield Poison("bad_type", b"[" + behaviour() + b"]")
    yield Poison("empty_value", b"")
    yield Poison("missing_field", b'{"item":1,"action":1}')
    yield Poison("unknown_field", behaviour(price=3))
    yield Poison("bad_type", behaviour(time_ms="yesterday"))
    yield Poison("bad_type", behaviour(item=1.5))
    yield Poison("id_out_of_range", behaviour(item=2**63))
    yield Poison("id_out_of_range", behaviour(category=-(2**63) - 1))
    yield Poison("bad_id", behaviour(item=0))
    yield Poison("bad_id", behaviour(item=""))
    yield Poison("reserved_id", behaviour(item="__muse_x"))
    yield Poison("key_mismatch", behaviour(user=USER + 1))
    yield Poison("unknown_action", behaviour(action="gaze"))
    yield Poison("unknown_action", behaviour(action=256))
    yield Poison("negative_time", behaviour(time_ms=-1))
    yield Poison("future_time", behaviour(time_ms=FAR_MS))
    yield Poison("oversize", behaviour(event_id="x" * 70_000))
    yield Poison("unknown_format", behaviour(), headers=[("muse-format", b"json/2")])
    yield Poison("unknown_format", behaviour(), headers=[("trace", b"\x00"), ("muse-format", b"")])
    yield Poison("missing_key", behaviour(), key=None, partition=HOME)
    yield from _keys(behaviour())
    yield Poison("wrong_partition", behaviour(), partition=AWAY)
    yield Poison("wrong_partition", None, partition=AWAY)
    yield from _frames()


def _frames() -> Iterator[Poison]:
    whole = frame([USER, NEIGHBOUR, USER])
    flipped = whole[:40] + bytes((whole[40] ^ 1,)) + whole[41:]
    for value in (b"MUSF", whole[:-1], whole + b"\x00", flipped, whole[:4] + b"\x02" + whole[5:], behaviour()):
        yield Poison("bad_frame", value, headers=FRAME_HEADERS)
    more = whole[:8] + struct.pack("<I", 4_000_000_000) + whole[12:]
    yield Poison("bad_frame", more, headers=FRAME_HEADERS)
    yield Poison("empty_value", b"", headers=FRAME_HEADERS)
    yield Poison("wrong_partition", frame([USER, STRANGER]), headers=FRAME_HEADERS)
    yield Poison("key_mismatch", frame([NEIGHBOUR, USER]), headers=FRAME_HEADERS)
    yield Poison("bad_id", frame([USER, 0]), headers=FRAME_HEADERS)
    yield Poison("bad_id", frame([USER, USER], item=[1, 0]), headers=FRAME_HEADERS)
    yield Poison("negative_time", frame([USER, USER], time_ms=[TIME_MS, -1]), headers=FRAME_HEADERS)
    yield Poison("future_time", frame([USER], time_ms=[FAR_MS]), headers=FRAME_HEADERS)
    yield Poison("bad_json", whole)


def _keys(value: bytes) -> Iterator[Poison]:
    """Keys that name nobody; without one at all, a compacted topic takes no record."""
    yield Poison("missing_key", value, key=b"", partition=HOME)
    yield Poison("bad_id", value, key=b"0")
    yield Poison("bad_id", value, key=b"\xff\xfe")
    yield Poison("reserved_id", value, key=b"__muse_x")


def users() -> Iterator[Poison]:
    yield Poison("bad_json", b'{"features":')
    yield Poison("missing_field", b"{}")
    yield Poison("unknown_field", b'{"features":{},"name":"x"}')
    yield Poison("bad_type", b'{"features":{"country":3.5}}')
    yield Poison("id_out_of_range", b'{"features":{"country":9223372036854775808}}')
    yield Poison("empty_value", b"")
    yield Poison("oversize", json.dumps({"features": {"country": "x" * 70_000}}).encode())
    yield from _keys(b'{"features":{}}')
    yield Poison("wrong_partition", b'{"features":{}}', partition=AWAY)


def items() -> Iterator[Poison]:
    ones = [1] * DIMENSION
    vectors: list[tuple[str, dict[str, Any]]] = [
        ("bad_vector", {"vector": ones[:-1]}),
        ("bad_vector", {"vector": [*ones, 1]}),
        ("bad_vector", {"vector": []}),
        ("bad_vector", {"vector": [0] * DIMENSION}),
        ("bad_vector", {"vector": [128, *ones[1:]]}),
        ("bad_vector", {"vector_int8": "AYB/A"}),
        ("bad_vector", {"vector_int8": "AYB/AA=="}),
        ("bad_vector", {"vector_float": [0.0] * DIMENSION}),
        ("bad_vector", {"vector_float": [1e39, *ones[1:]]}),
        ("bad_vector", {"vector": ones, "vector_float": ones}),
        ("unknown_space", {"space": "v9", "vector": ones}),
        ("bad_json", {"vector_float": [float("nan"), *ones[1:]]}),
        ("bad_json", {"vector_float": [float("inf"), *ones[1:]]}),
        ("bad_type", {"vector": "1,2,3"}),
        ("unknown_field", {"price": 3}),
        ("id_out_of_range", {"category": 2**63}),
        ("oversize", {"title": "x" * 300_000}),
    ]
    for reason, fields in vectors:
        yield Poison(reason, json.dumps(fields).encode(), key=b"601", partition=0)
    yield Poison("bad_json", b"{", key=b"601", partition=0)
    yield Poison("empty_value", b"", key=b"601", partition=0)
    for poison in _keys(b"{}"):
        yield Poison(poison.reason, poison.value, key=poison.key, partition=0)
