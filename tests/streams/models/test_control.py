"""The wire of the control topic: golden bytes, and what is refused."""

import pytest

from muse_stream.streams.errors import WireError
from muse_stream.streams.models.control import (
    Activation,
    Loading,
    Ref,
    Refused,
    Reported,
    Running,
    Slot,
    SlotSet,
    WorkerReport,
    decode,
    encode_activation,
    encode_end,
    encode_leave,
    encode_report,
)

A, B = "a" * 64, "b" * 64
LIVE = Activation(
    slot="live", name="autumn-2", digest=A, space="v1", by="ann@laptop", at_ms=7, previous=(Ref("autumn-1", B),)
)
SHADOW = Activation(slot="shadow", name="try.3", digest=B, space="v2", share=0.25, by="", at_ms=8)
REPORT = WorkerReport(
    worker="machine:/data",
    at_ms=9,
    live=Running("autumn-1", B, "v1"),
    loading=Loading("autumn-2", A, "filling", 0.5),
    refused=Refused("autumn-0", A, "other features", 6),
)
GOLDEN_LIVE = (
    b'{"slot":"live","name":"autumn-2","digest":"' + b"a" * 64 + b'","space":"v1","by":"ann@laptop","at_ms":7,'
    b'"share":null,"previous":[{"name":"autumn-1","digest":"' + b"b" * 64 + b'"}]}'
)
GOLDEN_SHADOW = (
    b'{"slot":"shadow","name":"try.3","digest":"' + b"b" * 64 + b'","space":"v2","by":"","at_ms":8,'
    b'"share":0.25,"previous":[]}'
)
GOLDEN_REPORT = (
    b'{"worker":"machine:/data","at_ms":9,"live":{"name":"autumn-1","digest":"' + b"b" * 64 + b'","space":"v1"},'
    b'"shadow":null,"loading":{"name":"autumn-2","digest":"' + b"a" * 64 + b'","step":"filling","coverage":0.5},'
    b'"refused":{"name":"autumn-0","digest":"' + b"a" * 64 + b'","reason":"other features","at_ms":6}}'
)


def test_golden_bytes() -> None:
    assert encode_activation(LIVE) == (b"slot/live", GOLDEN_LIVE)
    assert encode_activation(SHADOW) == (b"slot/shadow", GOLDEN_SHADOW)
    assert encode_report(REPORT) == (b"worker/machine:/data", GOLDEN_REPORT)
    assert encode_end("shadow") == (b"slot/shadow", None)
    assert encode_leave("machine:/data") == (b"worker/machine:/data", None)


def test_decode_gives_what_was_encoded() -> None:
    assert decode(b"slot/live", GOLDEN_LIVE) == SlotSet("live", LIVE)
    assert decode(b"slot/shadow", GOLDEN_SHADOW) == SlotSet("shadow", SHADOW)
    assert decode(b"worker/machine:/data", GOLDEN_REPORT) == Reported("machine:/data", REPORT)
    assert decode(b"slot/shadow", None) == SlotSet("shadow", None)
    assert decode(b"worker/w/1", None) == Reported("w/1", None)


def test_fields_may_be_added() -> None:
    assert decode(b"slot/live", GOLDEN_LIVE.replace(b'"by"', b'"why":"because","by"')) == SlotSet("live", LIVE)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (b"slot/lively", GOLDEN_LIVE, "key 'slot/lively' is none of"),
        (None, GOLDEN_LIVE, "key '' is none of"),
        (b"\xff", b"{}", "is none of"),
        (b"worker/", b"{}", "is none of"),
        (b"slot/live", GOLDEN_SHADOW, "a value of slot 'shadow'"),
        (b"slot/live", b"", "no Activation"),
        (b"slot/live", b"\xff\xfe", "no Activation"),
        (b"slot/live", b"null", "no Activation"),
        (b"slot/live", GOLDEN_LIVE[:-9], "no Activation"),
        (b"slot/live", GOLDEN_LIVE.replace(b"autumn-2", b"../autumn"), "name"),
        (b"slot/live", GOLDEN_LIVE.replace(b"autumn-2", b"autumn\\n"), "name"),
        (b"slot/live", GOLDEN_LIVE.replace(b"aaaa", b"/../", 1), "digest"),
        (b"slot/live", GOLDEN_LIVE.replace(b"null", b"0.5"), "live has none"),
        (b"slot/shadow", GOLDEN_SHADOW.replace(b"0.25", b"null"), "a shadow has a share"),
        (b"slot/shadow", GOLDEN_SHADOW.replace(b"0.25", b"1.5"), "share"),
        (b"worker/other", GOLDEN_REPORT, "a report of worker 'machine:/data'"),
        (b"worker/machine:/data", GOLDEN_REPORT.replace(b"filling", b"dancing"), "step"),
    ],
)
def test_what_cannot_be_used_is_refused(key: bytes | None, value: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        decode(key, value)


def test_what_could_not_be_read_is_not_written() -> None:
    with pytest.raises(WireError, match="name"):
        encode_activation(Activation(slot="live", name="a/b", digest=A, space="v1", by="", at_ms=1))
    with pytest.raises(WireError, match="worker"):
        encode_report(WorkerReport(worker="", at_ms=1, live=None))


@pytest.mark.parametrize(("slot", "share"), [("live", 0.1), ("shadow", None)])
def test_a_share_is_the_shadows(slot: Slot, share: float | None) -> None:
    with pytest.raises(ValueError, match="a shadow has a share of the requests, live has none"):
        Activation(slot=slot, name="n", digest=A, space="v1", share=share, by="", at_ms=1)
