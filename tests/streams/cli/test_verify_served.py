"""`muse-stream verify-served`: what it prints, when it fails, what it hands on."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from muse_stream.streams.cli import main, verify_served_command
from muse_stream.streams.verify.report import SHOWN_MAX, Mismatch, Report

MISMATCH = Mismatch(
    request_id="r17",
    user="4711",
    behaviours=(2, 10_433),
    users=71,
    items=20_812,
    space="v1",
    model="1f3c" * 16,
    what="scores",
    where="candidate 3 (item 22423)",
    expected=0.4132,
    found=0.419,
)


def report(**changes: Any) -> Report:
    made = Report(computed=4, compared=3, not_rebuildable={"request_gone": 1}, not_computed={"expired": 2}, **changes)
    made.finish(1.5)
    return made


def run(monkeypatch: pytest.MonkeyPatch, found: Report, *arguments: str) -> tuple[Result, list[Any]]:
    given: list[Any] = []

    def once(*them: Any) -> Report:
        given.extend(them)
        return found

    monkeypatch.setattr(verify_served_command, "verify_once", once)
    monkeypatch.setattr(verify_served_command, "follow", once)
    monkeypatch.setattr(verify_served_command, "configure", lambda form, level: None)
    return CliRunner().invoke(main, ["verify-served", *arguments]), given


def test_no_mismatch_is_success_and_says_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, report())
    assert result.exit_code == 0
    assert "3 of 4 computed answers compared (75.0%)" in result.stdout
    assert "1 not rebuildable: request_gone (verify sooner" in result.stdout
    assert "2 not computed: expired" in result.stdout
    assert result.stdout.splitlines()[-1] == "no mismatch"


def test_a_mismatch_fails_and_is_told_with_all_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, report(mismatched=1, mismatches=[MISMATCH] * SHOWN_MAX))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == (
        "r17 of user 4711: scores, candidate 3 (item 22423): expected 0.4132, found 0.419 "
        "(behaviours 2:10433, users 71, items 20812, space v1, model 1f3c1f3c1f3c1f3c)"
    )
    assert "--out FILE all of them" in result.stdout


def test_less_than_was_asked_for_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, report(), "--at-least", "0.75")[0].exit_code == 0
    assert run(monkeypatch, report(), "--at-least", "0.76")[0].exit_code == 1
    assert run(monkeypatch, Report(), "--at-least", "0.1")[0].exit_code == 1, "nothing compared at all"


def test_json_and_what_is_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result, given = run(
        monkeypatch, report(), "--json", "--share", "0.5", "--last", "1", "--out", str(out), "--models", str(tmp_path)
    )
    assert json.loads(result.stdout)["not_rebuildable"] == {"request_gone": 1}
    wanted = given[2]
    assert wanted.share == 0.5
    assert wanted.since_ms > 1_600_000_000_000
    assert given[1]("0" * 64) is None
    assert out.exists()


def test_following(monkeypatch: pytest.MonkeyPatch) -> None:
    result, given = run(monkeypatch, report(), "--follow", "--share", "0.01", "--hold", "2", "--port", "9109")
    assert result.exit_code == 0
    sample, address = given[2], given[4]
    assert (sample.share, sample.hold_seconds) == (0.01, 2.0)
    assert address[1] == 9109
