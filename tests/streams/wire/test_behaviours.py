import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.records import Headers
from muse_stream.streams.wire import behaviours, formats
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.formats import Columns, Fault, Task
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.rejects import Reason
from tests.streams.wire.helpers import BROKER_MS, FIRST_OFFSET, FRAME, GOOD, RULES, batch, seeded


def test_columns_of_one_record() -> None:
    value = b'{"item":"85123A","time_ms":1,"action":"cart","category":3,"event_id":"e","user":"7"}'
    rows, rejects = decode_behaviours(batch([value]), RULES)
    rows.check()
    assert not rejects
    assert (rows.user[0], rows.item[0], rows.time_ms[0]) == (7, id_of("85123A"), 1)
    assert (rows.action[0], rows.category[0], rows.erase[0]) == (2, 3, False)
    assert rows.event_id[0] != 0
    assert (rows.offset[0], rows.broker_time_ms[0]) == (FIRST_OFFSET, BROKER_MS)


def test_nothing_in_nothing_out() -> None:
    rows, rejects = decode_behaviours(batch([]), RULES)
    rows.check()
    assert len(rows) == 0
    assert not rejects


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY_VALUE),
        (b" ", Reason.BAD_JSON),
        (b"nonsense", Reason.BAD_JSON),
        (b"17850,22423", Reason.BAD_JSON),
        (b"[" * 100_000 + b"]" * 100_000, Reason.OVERSIZE),
        (b"[" * 30_000 + b"]" * 30_000, Reason.BAD_JSON),
        (GOOD + b" " * 65_536, Reason.OVERSIZE),
        (b"null", Reason.BAD_TYPE),
        (b'{"item":1,"time_ms":1}', Reason.MISSING_FIELD),
        (b'{"item":1,"time_ms":1,"action":1,"price":2}', Reason.UNKNOWN_FIELD),
        (b'{"item":1,"time_ms":"1","action":1}', Reason.BAD_TYPE),
        (b'{"item":1.5,"time_ms":1,"action":1}', Reason.BAD_TYPE),
        (b'{"item":0,"time_ms":1,"action":1}', Reason.BAD_ID),
        (b'{"item":"0","time_ms":1,"action":1}', Reason.BAD_ID),
        (b'{"item":"","time_ms":1,"action":1}', Reason.BAD_ID),
        (b'{"item":9223372036854775808,"time_ms":1,"action":1}', Reason.ID_OUT_OF_RANGE),
        (b'{"item":1,"time_ms":1,"action":1,"category":-9223372036854775809}', Reason.ID_OUT_OF_RANGE),
        (b'{"item":' + b"9" * 5_000 + b',"time_ms":1,"action":1}', Reason.ID_OUT_OF_RANGE),
        (b'{"item":"__muse_1","time_ms":1,"action":1}', Reason.RESERVED_ID),
        (b'{"item":1,"time_ms":1,"action":1,"category":"__muse_1"}', Reason.RESERVED_ID),
        (b'{"item":1,"time_ms":1,"action":1,"event_id":""}', Reason.BAD_ID),
        (b'{"item":1,"time_ms":1,"action":1,"user":8}', Reason.KEY_MISMATCH),
        (b'{"item":1,"time_ms":1,"action":1,"user":""}', Reason.BAD_ID),
        (b'{"item":1,"time_ms":1,"action":"gaze"}', Reason.UNKNOWN_ACTION),
        (b'{"item":1,"time_ms":1,"action":-1}', Reason.UNKNOWN_ACTION),
        (b'{"item":1,"time_ms":1,"action":256}', Reason.UNKNOWN_ACTION),
        (b'{"item":1,"time_ms":-1,"action":1}', Reason.NEGATIVE_TIME),
        (b'{"item":1,"time_ms":1700003600001,"action":1}', Reason.FUTURE_TIME),
        (b'{"item":1,"time_ms":99999999999999999999,"action":1}', Reason.FUTURE_TIME),
    ],
)
def test_bad_values_go_alone(value: bytes, reason: Reason) -> None:
    rows, rejects = decode_behaviours(batch([GOOD, value, GOOD]), RULES)
    rows.check()
    assert rows.offset.tolist() == [FIRST_OFFSET, FIRST_OFFSET + 4]
    assert [(reject.reason, reject.offset, reject.value) for reject in rejects] == [(reason, FIRST_OFFSET + 2, value)]
    assert rejects[0].topic == "behaviours"
    assert rejects[0].broker_time_ms == BROKER_MS
    assert 10 < len(rejects[0].detail) <= 600


def test_the_limit_of_the_future_is_legal() -> None:
    rows, rejects = decode_behaviours(batch([b'{"item":1,"time_ms":1700003600000,"action":1}']), RULES)
    assert len(rows) == 1
    assert not rejects


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, Reason.MISSING_KEY),
        (b"", Reason.MISSING_KEY),
        (b"0", Reason.BAD_ID),
        (b"\xff", Reason.BAD_ID),
        (b"__muse_canary", Reason.RESERVED_ID),
    ],
)
@pytest.mark.parametrize("value", [GOOD, None, b"nonsense"])
def test_bad_keys_go_alone(key: bytes | None, value: bytes | None, reason: Reason) -> None:
    rows, rejects = decode_behaviours(batch([GOOD, value, GOOD], [b"7", key, b"8"]), RULES)
    assert rows.user.tolist() == [7, 8]
    assert [(reject.reason, reject.offset, reject.key) for reject in rejects] == [(reason, FIRST_OFFSET + 2, key)]


def test_a_key_of_another_partition_is_told_apart() -> None:
    keys = [b"7", b"11", b"user-1"]
    wrong = partition_of_key(b"11", 2)
    rules = BehaviourRules(partition_count=2)
    found = {partition: decode_behaviours(batch([GOOD] * 3, keys, partition=partition), rules) for partition in (0, 1)}
    for partition, (rows, rejects) in found.items():
        mine = [partition_of_key(key, 2) == partition for key in keys]
        assert len(rows) == sum(mine)
        assert all(reject.reason is Reason.WRONG_PARTITION for reject in rejects)
        assert [reject.key for reject in rejects] == [key for key, here in zip(keys, mine, strict=True) if not here]
    advice = found[1 - wrong][1][0].detail
    assert "CRC32" in advice
    assert "murmur2" in advice


@pytest.mark.parametrize("key", [b"__muse:canary:1", b"__muse:canary:", b"__muse:canary:00", b"__muse:canary:0x"])
def test_of_the_reserved_users_only_the_canary_of_the_partition_passes(key: bytes) -> None:
    rows, rejects = decode_behaviours(batch([GOOD, None, GOOD], [b"__muse:canary:0"] * 2 + [key]), RULES)
    assert rows.user.tolist() == [id_of("__muse:canary:0")] * 2
    assert rows.erase.tolist() == [False, True]
    assert [reject.reason for reject in rejects] == [Reason.RESERVED_ID]


def test_null_erases_whatever_its_headers() -> None:
    rows, rejects = decode_behaviours(batch([GOOD, None, None], None, [None, FRAME, None]), RULES)
    rows.check()
    assert not rejects
    assert rows.erase.tolist() == [False, True, True]
    assert rows.user.tolist() == [7, 7, 7]


@pytest.mark.parametrize("name", [b"json/2", b"frame/2", b"avro/1", b"", b"\xff"])
def test_unknown_formats(name: bytes) -> None:
    rows, rejects = decode_behaviours(batch([GOOD, GOOD], None, [[("muse-format", name)], None]), RULES)
    assert rows.offset.tolist() == [FIRST_OFFSET + 2]
    assert rejects[0].reason is Reason.UNKNOWN_FORMAT
    assert rejects[0].headers == (("muse-format", name),)


def test_the_last_format_header_counts_and_others_do_not() -> None:
    headers: Headers = [("muse-format", b"frame/1"), ("muse-format", b"json/1"), ("traceparent", b"x")]
    assert len(decode_behaviours(batch([GOOD], None, [headers]), RULES)[0]) == 1


def test_headers_without_a_value() -> None:
    nothing: list[tuple[str, bytes]] = [("x", None), ("muse-format", None)]  # type: ignore[list-item]  # clients do send it
    rows, rejects = decode_behaviours(batch([GOOD], None, [nothing]), RULES)
    assert len(rows) == 0
    assert rejects[0].headers == (("x", b""), ("muse-format", b""))


def test_configured_actions() -> None:
    rules = BehaviourRules(partition_count=1, actions={"регистрация": 9, "x": 200})
    values = [f'{{"item":1,"time_ms":1,"action":"{name}"}}'.encode() for name in ("x", "регистрация", "click")]
    rows, rejects = decode_behaviours(batch(values), rules)
    assert rows.action.tolist() == [200, 9]
    assert rejects[0].reason is Reason.UNKNOWN_ACTION


def test_another_format_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode_csv(task: Task) -> tuple[Columns, list[Fault]]:
        numbers = np.array([int(value or b"") for value in task.values], np.int64)
        zero = np.zeros(len(numbers), np.int64)
        return Columns(task.record, task.user, numbers, zero, zero.astype("u1"), zero, zero.astype("u8")), []

    monkeypatch.setattr(behaviours, "FORMATS", {**behaviours.FORMATS, "csv/1": decode_csv})
    csv: Headers = [(formats.FORMAT_HEADER, b"csv/1")]
    rows, rejects = decode_behaviours(batch([b"5", GOOD, b"0"], None, [csv, None, csv]), RULES)
    assert rows.item.tolist() == [5, 5]
    assert rejects[0].reason is Reason.BAD_ID  # the checks that all formats share


KINDS = ["json", "frame", "erase", "poison", "bad frame", "bad key", "unknown"]


@seeded
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 4)), max_size=12))
def test_any_mix_keeps_log_order(kinds: list[tuple[str, int]]) -> None:
    values: list[bytes | None] = []
    keys: list[bytes | None] = []
    headers: list[Headers | None] = []
    expected, lost = [], []
    for row, (kind, size) in enumerate(kinds):
        offset = FIRST_OFFSET + 2 * row
        user = row + 1
        keys.append(None if kind == "bad key" else str(user).encode())
        headers.append(FRAME if "frame" in kind else [("muse-format", b"x")] if kind == "unknown" else None)
        frame = encode_frame([user] * size, np.arange(1, size + 1), [1] * size, [1] * size)
        values.append({"frame": frame, "bad frame": frame[:-1], "erase": None, "poison": b'1},{"'}.get(kind, GOOD))
        if kind == "frame":
            expected += [(offset, user, item, False) for item in range(1, size + 1)]
        elif kind in ("json", "erase"):
            expected.append((offset, user, 0 if kind == "erase" else 5, kind == "erase"))
        else:
            lost.append(offset)
    rows, rejects = decode_behaviours(batch(values, keys, headers), RULES)
    rows.check()
    columns = zip(rows.offset.tolist(), rows.user.tolist(), rows.item.tolist(), rows.erase.tolist(), strict=True)
    assert list(columns) == expected
    assert [reject.offset for reject in rejects] == lost


def test_warm_up() -> None:
    behaviours.warm_up()
