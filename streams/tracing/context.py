"""A trace context as the W3C writes it (Trace Context, level 2): the headers `traceparent` and `tracestate`.

Invariant: text only; nothing here needs OpenTelemetry. A header that is not as it should be counts as absent, so a
wrong one costs a trace and never a request.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from muse_stream.streams.records import Headers

PARENT, STATE = "traceparent", "tracestate"
SAMPLED = 0x01
"""The flag that says: somebody records this trace."""
_KNOWN_FLAGS = 0x03
"""Sampled, and that the trace id is random; others are not passed on, as the standard asks."""
STATE_CHARACTERS_MAX = 512
"""What the standard asks everybody to pass on; a longer list is left out."""

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_STATE_FORM = re.compile(rf"[\x20-\x7e]{{1,{STATE_CHARACTERS_MAX}}}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of one trace.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits, not all 0.
        span_id: 16 of them, likewise.
        flags: The known ones.
        state: What other tracing systems want passed on, as it came; "" for nothing.

    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Whether somebody records the trace."""
        return bool(self.flags & SAMPLED)

    @property
    def parent(self) -> str:
        """Value of the header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def of_http(self) -> dict[str, str]:
        """Headers of HTTP."""
        return {PARENT: self.parent, STATE: self.state} if self.state else {PARENT: self.parent}

    def of_record(self) -> Headers:
        """Headers of a Kafka record."""
        return [(name, value.encode()) for name, value in self.of_http().items()]


def parse(parent: str, state: str = "") -> TraceContext | None:
    """Read the two headers; None where the first says nothing."""
    match = _FORM.fullmatch(parent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    kept = state if _STATE_FORM.fullmatch(state) else ""
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS, kept)


def from_record(headers: Iterable[tuple[str, bytes | None]] | Mapping[str, bytes] | None) -> TraceContext | None:
    """Read the context of a Kafka record; of a header that is there several times the last one counts."""
    if not headers:
        return None
    found = dict(headers.items() if isinstance(headers, Mapping) else headers)
    parent = found.get(PARENT)
    return None if parent is None else parse(_text(parent), _text(found.get(STATE)))


def from_http(headers: Mapping[str, str]) -> TraceContext | None:
    """Read the context of an HTTP request."""
    parent = headers.get(PARENT)
    return None if parent is None else parse(parent, headers.get(STATE, ""))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace")
