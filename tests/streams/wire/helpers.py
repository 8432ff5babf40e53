"""Batches of records, and values that hypothesis draws."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from muse_stream.streams.records import Headers, RecordBatch
from muse_stream.streams.wire.behaviours import BehaviourRules
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from muse_stream.streams.wire.ids import INT64_MAX, INT64_MIN

BROKER_MS = 1_700_000_000_000
FIRST_OFFSET = 1_000
RULES = BehaviourRules(partition_count=1)
FRAME: Headers = [("muse-format", b"frame/1")]
seeded = settings(deadline=None, derandomize=True, print_blob=True)
"""For every property: the same examples on every run, and no clock, because a first example may compile."""

GOOD = b'{"item":5,"time_ms":1699999999999,"action":"click"}'


def batch(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Headers | None] | None = None,
    *,
    partition: int = 0,
    topic: str = "behaviours",
) -> RecordBatch:
    """Records at every second offset, as behind a transaction."""
    n = len(values)
    offset = FIRST_OFFSET + 2 * np.arange(n, dtype=np.int64)
    return RecordBatch(
        topic=topic,
        partition=partition,
        keys=list(keys) if keys is not None else [b"7"] * n,
        values=list(values),
        headers=list(headers) if headers is not None else [None] * n,
        offset=offset,
        broker_time_ms=np.full(n, BROKER_MS, np.int64),
        next_offset=FIRST_OFFSET + 2 * n,
    )


texts = st.text('ab019-+_ .{}[]:,"\\/\n\t\x00\x7fé用😀\u2028', min_size=1, max_size=20)
ids = st.one_of(
    st.integers(1, 10**6), st.integers(INT64_MIN, INT64_MAX).filter(bool), texts.filter(lambda text: text != "0")
)
"""Legal user and item ids (a text that begins with __muse will not be drawn in this universe)."""

odd_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(),
    st.integers(-(2**64), 2**64),
    texts,
    st.sampled_from(["", "0", "-0", "__muse_x", "click", "7", 0, 255, 256, [], {}, 2**63, -(2**63), 2**63 - 1]),
)


@st.composite
def behaviour_objects(draw: st.DrawFn) -> dict[str, Any]:
    """Behaviours that are mostly right: legal fields, one of them perhaps odd, missing or new."""
    value: dict[str, Any] = {
        "item": draw(ids),
        "time_ms": draw(st.integers(0, BROKER_MS + 3_600_000)),
        "action": draw(st.one_of(st.sampled_from(sorted(DEFAULT_ACTIONS)), st.integers(0, 255))),
    }
    for name, strategy in (("category", ids), ("event_id", ids), ("user", st.sampled_from([7, "7"]))):
        if draw(st.booleans()):
            value[name] = draw(st.one_of(st.none(), strategy))
    odd = draw(st.sampled_from([None, None, None, *value, "extra"]))
    if odd is not None:
        value[odd] = draw(odd_scalars)
        if draw(st.integers(0, 3)) == 0:
            del value[odd]
    names = draw(st.permutations(list(value)))
    return {name: value[name] for name in names}


@st.composite
def behaviour_bytes(draw: st.DrawFn) -> bytes:
    """Values of records: mostly JSON in some writer's style, sometimes damaged, sometimes anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(min_size=1, max_size=60))
    style = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    text = json.dumps(draw(behaviour_objects()), separators=style, ensure_ascii=draw(st.booleans()))
    data = bytearray(draw(st.sampled_from(["", " ", "\r\n"])).encode() + text.encode())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b'"', b"\\", b"{", b"}", b",", b"0", b"\x00"])
        )
    return bytes(data) or b"x"
