"""Without an endpoint nothing of OpenTelemetry is there; without the extra an endpoint is refused in words."""

import subprocess
import sys

import pytest

from muse_stream.streams.errors import SettingsError
from muse_stream.streams.settings import Settings
from muse_stream.streams.tracing.context import parse
from muse_stream.streams.tracing.tracing import UNTRACED, Tracing, open_tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENDPOINT = "http://127.0.0.1:1/v1/traces"
"""Where nobody listens."""


def test_a_worker_imports_nothing_of_it() -> None:
    program = (
        "import sys, muse_stream.streams.worker.main\n"
        "from muse_stream.streams.settings import Settings\n"
        "from muse_stream.streams.tracing.tracing import open_tracing\n"
        "open_tracing(Settings(), '1').close()\n"
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_endpoint_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("muse_stream.streams.tracing.otlp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = Settings(tracing={"endpoint": ENDPOINT})
    with pytest.raises(SettingsError, match=r"install the extra 'muse-stream\[otel\]', or unset it"):
        open_tracing(settings, "1")


def test_without_an_endpoint_a_context_goes_through_as_it_came() -> None:
    tracing = open_tracing(Settings(), "1")
    assert type(tracing) is Tracing
    given = parse(PARENT, "rojo=1")
    trace = tracing.begin(given)
    assert (trace.context, trace.recorded) == (given, False)
    assert trace.record_headers() == [("traceparent", PARENT.encode()), ("tracestate", b"rojo=1")]
    tracing.answered(trace, "ok", {"decode": 0.1}, {})
    assert tracing.begin(None) is UNTRACED
    assert (UNTRACED.id, UNTRACED.record_headers(), UNTRACED.http_headers()) == (None, None, {})


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://x/v1/traces", "http://user:secret@x/v1/traces"])
def test_an_endpoint_is_an_address_without_a_password(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_TRACING__ENDPOINT", endpoint)
    with pytest.raises(SettingsError, match=r"tracing\.endpoint"):
        Settings.load()
