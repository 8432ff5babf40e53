"""The audit's decoder against the golden records and against the ingest's, which shares no code with it."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muse_stream.streams.audit.decoding import (
    BEHAVIOUR,
    Contract,
    Record,
    Refused,
    Row,
    decode,
    event_id_of,
    id_of,
    partition_of,
)
from muse_stream.streams.records import Headers
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.golden import FOLDER
from tests.streams.wire.helpers import BROKER_MS, FIRST_OFFSET, FRAME, GOOD, RULES, batch, behaviour_bytes, seeded

GOLDEN = json.loads((FOLDER / "behaviours.json").read_text(encoding="utf-8"))
IDS = json.loads((FOLDER / "ids.json").read_text(encoding="utf-8"))["ids"]
CONTRACT = Contract(0, 1, RULES.actions)


def unbase64(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def golden_row(expected: dict[str, Any]) -> Row:
    numbers = {name: int(value) for name, value in expected.items()}
    if expected["erase"]:
        return Row(numbers["user"], None, 0)
    behaviour = BEHAVIOUR.pack(*(numbers[name] for name in ("item", "time_ms", "action", "category")))
    return Row(numbers["user"], behaviour, numbers["event_id"])


@pytest.mark.parametrize("case", GOLDEN["records"], ids=lambda case: str(case["name"]))
def test_golden_records(case: dict[str, Any]) -> None:
    headers = [(name, unbase64(value)) for name, value in case["headers"]]
    record = Record(7, int(case["broker_time_ms"]), unbase64(case["key"]), unbase64(case["value"]), headers)
    contract = Contract(case["partition"], GOLDEN["partition_count"], GOLDEN["actions"])
    if "rows" in case["expected"]:
        assert decode(record, contract) == [golden_row(row) for row in case["expected"]["rows"]]
    else:
        with pytest.raises(Refused):
            decode(record, contract)


@pytest.mark.parametrize("case", IDS, ids=lambda case: repr(case["text"])[:30])
def test_golden_ids(case: dict[str, Any]) -> None:
    if case["text"].startswith("__muse"):
        with pytest.raises(Refused):
            id_of(case["text"])
    else:
        assert id_of(case["text"]) == int(case["id"])
    assert event_id_of(case["text"]) == int(case["event_id"])
    for count, partition in case["partitions"].items():
        assert partition_of(case["text"].encode(), int(count)) == partition


def by_audit(value: bytes | None, key: bytes | None = b"7", headers: Headers | None = None) -> list[Row] | None:
    try:
        return decode(Record(FIRST_OFFSET, BROKER_MS, key, value, headers or ()), CONTRACT)
    except Refused:
        return None


def by_ingest(
    value: bytes | None, key: bytes | None = b"7", headers: Headers | None = None, rules: BehaviourRules = RULES
) -> list[Row] | None:
    rows, rejects = decode_behaviours(batch([value], [key], [headers]), rules)
    if rejects:
        return None
    columns = zip(*(getattr(rows, name).tolist() for name in ("item", "time_ms", "action", "category")), strict=True)
    packed = [BEHAVIOUR.pack(*row) for row in columns]
    erase, users, event_ids = rows.erase.tolist(), rows.user.tolist(), rows.event_id.tolist()
    return [
        Row(user, None if gone else row, 0 if gone else event_id)
        for user, row, event_id, gone in zip(users, packed, event_ids, erase, strict=True)
    ]


@settings(seeded, max_examples=500)
@given(behaviour_bytes())
@example(b'{"item":-0,"time_ms":1,"action":1}')
@example(b'{"item":1,"item":2,"time_ms":1,"action":1}')
@example(b'{"item":1.5,"item":2,"time_ms":1,"action":1}')
@example(b'{"item":1,"time_ms":-0,"action":-0,"event_id":-0}')
@example(b'{"item":1,"time_ms":1.0,"action":1}')
@example(b'{"item":1,"time_ms":1e0,"action":1}')
@example(b'{"item":1,"time_ms":1,"action":true}')
@example(b'{"item":1,"time_ms":1,"action":1,"event_id":"\\ud800"}')
@example(b'{"item":1,"time_ms":1,"action":1,"event_id":"\\ud83d\\ude00"}')
@example(b'{"item":1,"time_ms":1,"action":1,"event_id":"\xff"}')
@example(b'{"item":1,"time_ms":1,"action":1,"category":NaN}')
@example(b'{"item":1,"time_ms":1,"action":1,"event_id":' + b"9" * 5_000 + b"}")
@example(b'{"item":1,"time_ms":1,"action":1,"event_id":99999999999999999999}')
@example(b"\xef\xbb\xbf" + GOOD)
@example(b"[" * 30_000)
@example(GOOD + b" " * 65_536)
@example(b"")
def test_both_decoders_read_json_alike(value: bytes) -> None:
    assert by_audit(value) == by_ingest(value)


@seeded
@given(st.binary(max_size=6), st.one_of(st.none(), st.just(GOOD)))
@example(b"0", None)
@example(b"", GOOD)
@example(b"__muse", None)
@example(b"017", GOOD)
def test_both_decoders_read_keys_alike(key: bytes, value: bytes | None) -> None:
    assert by_audit(value, key) == by_ingest(value, key)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames of users of partition 0 of 1, now and then damaged."""
    count = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    data = bytearray(
        encode_frame(
            [7, *rng.integers(-3, 4, count - 1)],
            rng.integers(0, 10, count) if draw(st.booleans()) else rng.integers(1, 2**62, count),
            rng.integers(0, BROKER_MS, count),
            rng.integers(0, 256, count),
            category=rng.integers(-5, 5, count) if draw(st.booleans()) else None,
            event_id=rng.integers(0, 5, count).astype(np.uint64) if draw(st.booleans()) else None,
        )
    )
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@settings(seeded, max_examples=300)
@given(frames(), st.sampled_from([b"7", b"8"]))
def test_both_decoders_read_frames_alike(value: bytes, key: bytes) -> None:
    assert by_audit(value, key, FRAME) == by_ingest(value, key, FRAME)


@pytest.mark.parametrize(
    "headers",
    [[], [("muse-format", b"json/1")], [("muse-format", b"json/2")], [*FRAME, ("muse-format", b"json/1")], FRAME],
)
@pytest.mark.parametrize("value", [GOOD, encode_frame([7], [1], [1], [1]), None, b""])
def test_the_last_header_names_the_format(headers: Headers, value: bytes | None) -> None:
    assert by_audit(value, headers=headers) == by_ingest(value, headers=headers)


def test_a_frame_with_a_user_of_another_partition_is_refused() -> None:
    here = [user for user in range(1, 40) if partition_of(str(user).encode(), 2) == 0]
    away = [user for user in range(1, 40) if partition_of(str(user).encode(), 2) == 1]
    contract = Contract(0, 2, RULES.actions)
    key = str(here[0]).encode()
    good = Record(0, BROKER_MS, key, encode_frame(here, here, here, here), FRAME)
    assert len(decode(good, contract)) == len(here)
    mixed = [*here, away[0]]
    with pytest.raises(Refused):
        decode(Record(0, BROKER_MS, key, encode_frame(mixed, mixed, mixed, mixed), FRAME), contract)
