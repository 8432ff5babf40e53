"""The W3C's headers: read as the standard says, written as they came, and never a reason to fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.tracing.context import TraceContext, from_http, from_record, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_read_and_written() -> None:
    context = parse(PARENT, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    assert context == TraceContext(TRACE, SPAN, 1, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    assert context.sampled
    assert context.parent == PARENT
    assert parse(*context.of_http().values()) == context
    assert from_record(context.of_record()) == context
    assert from_http(context.of_http()) == context


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE[:-1]}x-{SPAN}-01",
        f"{PARENT}\n00-x",
        "٠" * 55,
    ],
)
def test_what_is_not_as_it_should_be_counts_as_absent(parent: str) -> None:
    assert parse(parent) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-ff-more") == TraceContext(TRACE, SPAN, 3)
    assert parse(f"01-{TRACE}-{SPAN}-00") == TraceContext(TRACE, SPAN, 0)


@pytest.mark.parametrize("state", ["x" * 513, "a=1\r\nx: y", "\x00"])
def test_a_state_that_may_not_be_passed_on_is_left_out(state: str) -> None:
    assert parse(PARENT, state) == TraceContext(TRACE, SPAN, 1)


def test_a_record_without_a_context_has_none() -> None:
    assert from_record(None) is None
    assert from_record([]) is None
    assert from_record([("tracestate", b"a=1"), ("format", b"frame")]) is None
    assert from_record([("traceparent", None)]) is None
    assert from_record({"traceparent": PARENT.encode()}) == TraceContext(TRACE, SPAN, 1)
    assert from_http({}) is None


def test_of_several_the_last_counts() -> None:
    other = f"00-{TRACE}-{'1' * 16}-00"
    assert from_record([("traceparent", other.encode()), ("traceparent", PARENT.encode())]) == parse(PARENT)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_are_a_reason_to_fail(parent: bytes, state: bytes) -> None:
    context = from_record([("traceparent", parent), ("tracestate", state)])
    assert context is None or parse(context.parent) is not None
