import json

import pytest
from click.testing import CliRunner

from muse_stream.streams.cli import main

RUNNER = CliRunner()


def shown(*arguments: str) -> dict[str, dict[str, object]]:
    result = RUNNER.invoke(main, ["config", "show", "--json", *arguments])
    assert result.exit_code == 0, result.output
    values: dict[str, dict[str, object]] = json.loads(result.output)
    return values


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_SERVING__K", "11")
    monkeypatch.setenv("MUSE_SERVING__QUEUE_MAX", "12")
    serving = shown("--set", "serving.k=13")["serving"]
    assert (serving["k"], serving["queue_max"]) == (13, 12)


def test_lists_are_written_as_json() -> None:
    assert shown("--set", 'features.user=["country"]')["features"]["user"] == ["country"]


def test_short_flags_are_settings() -> None:
    values = shown("--brokers", "a:1,b:2", "--data-dir", "/tmp/x")  # noqa: S108
    assert values["kafka"]["brokers"] == "a:1,b:2"
    assert values["state"]["directory"] == "/tmp/x"  # noqa: S108


def test_secrets_are_not_shown() -> None:
    secret = [
        "kafka.security.protocol=SASL_PLAINTEXT",
        "kafka.security.username=u",
        "kafka.security.password=hidden-one",
    ]
    pairs = [part for pair in secret for part in ("--set", pair)]
    assert "hidden-one" not in json.dumps(shown(*pairs))


def test_the_schema_is_json() -> None:
    schema = json.loads(RUNNER.invoke(main, ["config", "schema"]).output)
    assert "serving" in schema["properties"]
