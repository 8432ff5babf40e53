import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from muse_stream.streams.errors import WireError
from muse_stream.streams.wire import frame
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.frame import decode_frame, decode_frames, encode_frame
from muse_stream.streams.wire.partitioner import partition_of_users
from muse_stream.streams.wire.rejects import Reason
from tests.streams.wire.helpers import BROKER_MS, FIRST_OFFSET, FRAME, GOOD, RULES, batch, seeded

I64 = np.iinfo(np.int64)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, np.ndarray]:
    n = draw(st.integers(1, 20))
    words = arrays.arrays(np.int64, n, elements=st.integers(I64.min, I64.max))
    found = {name: draw(words) for name in ("user", "item", "time_ms")}
    found["action"] = draw(arrays.arrays(np.uint8, n))
    if draw(st.booleans()):
        found["category"] = draw(words)
    if draw(st.booleans()):
        found["event_id"] = draw(words).view(np.uint64)
    return found


@seeded
@given(st.lists(columns(), max_size=5))
def test_round_trip(several: list[dict[str, np.ndarray]]) -> None:
    frames = decode_frames([encode_frame(**one) for one in several])
    assert not frames.complaint.any()
    assert frames.count.tolist() == [len(one["user"]) for one in several]
    for name in ("user", "item", "time_ms", "action", "category", "event_id"):
        parts = [one[name].tolist() if name in one else [0] * len(one["user"]) for one in several]
        assert getattr(frames, name).tolist() == [value for part in parts for value in part]


def test_layout_is_the_documented_one() -> None:
    data = encode_frame([1, 2], [3, 4], [5, 6], [7, 8], category=[9, 10], event_id=[11, 12])
    header = b"MUSF\x01\x03\x00\x00" + (2).to_bytes(4, "little") + bytes(4)
    words = np.array([1, 2, 3, 4, 5, 6, 9, 10, 11, 12], "<i8").tobytes()
    body = header + words + bytes([7, 8])
    assert data == body + crc32c(body).to_bytes(4, "little")
    assert len(encode_frame([1], [1], [1], [1])) == 16 + 25 + 4


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    data = encode_frame([1, 2], [3, 4], [5, 6], [7, 8], category=[9, 10])
    flipped = [
        data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] for at in range(len(data)) for bit in range(8)
    ]
    cut = [data[:size] for size in range(len(data))]
    longer = [data + b"\0", data + data]
    assert decode_frames(flipped + cut + longer).complaint.all()


def test_the_same_length_with_another_flag_is_seen() -> None:
    data = encode_frame([1], [2], [3], [4], category=[5])
    assert frame.COMPLAINTS[decode_frames([data[:5] + b"\x02" + data[6:]]).complaint[0]] == "its CRC32C does not match"


def resealed(body: bytes) -> bytes:
    return body + crc32c(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "shorter"),
        (b"MUSF" + bytes(15), "shorter"),
        (resealed(b"MUSE" + bytes(40)), "begin"),
        (resealed(b"MUSF\x02" + bytes(36)), "version"),
        (resealed(b"MUSF\x01\x04" + bytes(35)), "flags"),
        (resealed(b"MUSF\x01\x00\x01" + bytes(34)), "reserved"),
        (resealed(b"MUSF\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01" + bytes(25)), "reserved"),
        (resealed(b"MUSF\x01" + bytes(11)), "no behaviour"),
        (resealed(b"MUSF\x01\x00\x00\x00\xff\xff\xff\xff" + bytes(29)), "length"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        decode_frame(data)


@seeded
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_is_refused(values: list[bytes]) -> None:
    frames = decode_frames([*values, encode_frame([1], [2], [3], [4])])
    assert frames.complaint[:-1].all()
    assert frames.item.tolist() == [2]


def test_columns_of_different_lengths_make_no_frame() -> None:
    with pytest.raises(WireError, match="shapes"):
        encode_frame([1, 2], [1], [1, 2], [1, 2])
    with pytest.raises(WireError, match="shapes"):
        encode_frame([], [], [], [])


USERS = np.arange(1, 200)
HERE = USERS[partition_of_users(USERS, 3) == 1]
AWAY = USERS[partition_of_users(USERS, 3) != 1]
THREE = BehaviourRules(partition_count=3)


def one_frame(users: list[int], **more: list[int]) -> bytes:
    n = len(users)
    values = {"item": [5] * n, "time_ms": [1] * n, "action": [1] * n} | more
    return encode_frame(users, values["item"], values["time_ms"], values["action"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (one_frame([int(HERE[0]), int(AWAY[0]), int(AWAY[1])]), Reason.WRONG_PARTITION),
        (one_frame([int(HERE[1]), int(HERE[0])]), Reason.KEY_MISMATCH),
        (one_frame([int(AWAY[1]), int(HERE[0])]), Reason.KEY_MISMATCH),
        (one_frame([int(HERE[0]), 0]), Reason.BAD_ID),
        (one_frame([int(HERE[0])] * 2, item=[1, 0]), Reason.BAD_ID),
        (one_frame([int(HERE[0])] * 2, time_ms=[1, -1]), Reason.NEGATIVE_TIME),
        (one_frame([int(HERE[0])] * 2, time_ms=[BROKER_MS + 3_600_001, 1]), Reason.FUTURE_TIME),
        (one_frame([int(HERE[0])])[:-1], Reason.BAD_FRAME),
        (GOOD, Reason.BAD_FRAME),
        (b"", Reason.EMPTY_VALUE),
        (bytes(1_048_577), Reason.OVERSIZE),
    ],
)
def test_a_frame_is_used_whole_or_not_at_all(data: bytes, reason: Reason) -> None:
    key = str(HERE[0]).encode()
    good = one_frame([int(HERE[0]), int(HERE[1])])
    rows, rejects = decode_behaviours(batch([good, data, good], [key] * 3, [FRAME] * 3, partition=1), THREE)
    rows.check()
    assert rows.offset.tolist() == [FIRST_OFFSET] * 2 + [FIRST_OFFSET + 4] * 2
    assert [(reject.reason, reject.offset, reject.value) for reject in rejects] == [(reason, FIRST_OFFSET + 2, data)]


def test_the_stranger_in_a_frame_is_named() -> None:
    data = one_frame([int(HERE[0]), int(AWAY[3])])
    _, rejects = decode_behaviours(batch([data], [str(HERE[0]).encode()], [FRAME], partition=1), THREE)
    assert f"behaviour 1 of the frame is of user {AWAY[3]}" in rejects[0].detail


def test_rows_of_a_frame_share_their_offset() -> None:
    rows, _ = decode_behaviours(batch([one_frame([7, 8, 9])], None, [FRAME]), RULES)
    assert rows.offset.tolist() == [FIRST_OFFSET] * 3
    assert rows.user.tolist() == [7, 8, 9]
