import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.errors import IdError
from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire import idkernels, ids
from tests.streams.wire.helpers import seeded, texts


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


@pytest.mark.parametrize("number", [0, 1, -1, 17850, 2**63 - 1, -(2**63)])
def test_canonical_text_is_its_integer(number: int) -> None:
    assert ids.id_of(str(number)) == ids.id_of(number) == number


@pytest.mark.parametrize(
    "text",
    ["017850", "+1", " 1", "1 ", "1.0", "-0", "--1", "-", "1e3", "0x1", "٣", str(2**63), str(-(2**63) - 1), "9" * 40],
)
def test_other_text_is_hashed(text: str) -> None:
    assert ids.id_of(text) == hashed(text)
    assert ids.parse_keys([text.encode()]).id[0] == hashed(text)


def test_published_values() -> None:
    assert ids.id_of("85123A") == 3141760557156334012
    assert ids.event_id_of("536365-1") == 3202054174023781492


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "", "\ud800"])
def test_what_is_no_id(value: int | str) -> None:
    with pytest.raises(IdError):
        ids.id_of(value)


def test_zero_is_no_key() -> None:
    assert ids.id_of("0") == 0
    with pytest.raises(IdError, match="missing"):
        ids.key_of(0)


def test_event_ids_of_number_and_text_agree_and_are_never_zero() -> None:
    assert ids.event_id_of(17) == ids.event_id_of("17") != 17
    assert ids.event_id_of(0) != 0


def test_reserved() -> None:
    assert ids.is_reserved("__muse_canary_3")
    assert not ids.is_reserved("_muse")
    assert not ids.is_reserved(3)


@seeded
@given(
    st.lists(st.one_of(texts, st.integers(-(2**64), 2**64).map(str), st.text("-0123456789", min_size=1)), max_size=30)
)
def test_kernel_follows_the_rule(values: list[str]) -> None:
    column = ids.parse_keys([value.encode() for value in values])
    assert column.id.tolist() == [ids.id_of(value) for value in values]


@seeded
@given(st.lists(st.binary(max_size=400), max_size=10))
def test_digests_are_blake2b(values: list[bytes]) -> None:
    column = ByteColumn.of(values)
    found = idkernels.digests_of_spans(column.buffer, column.start, column.stop)
    assert found.tolist() == [
        int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little") for value in values
    ]


def test_flags() -> None:
    keys = [b"5", None, b"", "é".encode(), b"\xff", b"__muse_x", b"0", b"abc"]
    column = ids.parse_keys(keys)
    ok = idkernels.OK
    assert column.flag.tolist() == [
        ok,
        idkernels.ABSENT,
        idkernels.EMPTY,
        ok,
        idkernels.NON_ASCII,
        idkernels.RESERVED,
        idkernels.ZERO,
        ok,
    ]


def test_no_keys() -> None:
    column = ids.parse_keys([])
    assert column.id.dtype == np.int64
    assert len(column.id) == len(column.flag) == 0
