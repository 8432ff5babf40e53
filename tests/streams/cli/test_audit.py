"""`muse-stream audit` without a broker: what it prints, what it refuses, how it ends."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from muse_stream.streams.audit.compare import Difference
from muse_stream.streams.audit.report import MemoryReport, PartitionReport
from muse_stream.streams.cli import audit_command, main
from muse_stream.streams.settings import Settings

RUNNER = CliRunner()


def audit(*arguments: str) -> Result:
    return RUNNER.invoke(main, ["audit", *arguments, "--set", "http.port=9"])


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stores of partitions 0, 2 and 10, of which 2 is wrong and 10 cannot be compared."""

    def one_store(settings: Settings, path: Path, location: str | None) -> PartitionReport:
        number = int(path.name.removeprefix("behaviours-"))
        report = PartitionReport(number, str(path), "whole", position=7, users=3)
        report.counts.behaviours = 1_234
        if number == 2:
            for user in range(14):
                report.add(Difference(2, user, f"found [{user}]", lost=2, doubled=1))
        if number == 10:
            report.compared, report.note = "nothing", "the log begins at 99"
        return report

    for number in (0, 2, 10):
        (tmp_path / f"behaviours-{number}").mkdir()
    monkeypatch.setattr(audit_command, "one_store", one_store)
    monkeypatch.setattr(audit_command, "audit_memory", lambda url: None)
    return tmp_path


def test_equal_stores_end_with_0(three: Path) -> None:
    result = audit("--data-dir", str(three), "--partition", "0")
    assert result.exit_code == 0, result.output
    assert "equal: 0 lost, 0 doubled, of 1,234 behaviours of 3 users" in result.output


def test_differences_are_counted_and_the_first_ten_shown(three: Path) -> None:
    result = audit("--data-dir", str(three), "--partition", "2", "--partition", "0")
    assert result.exit_code == 1
    assert "14 differences: 28 lost, 14 doubled" in result.output
    assert "partition 2, user 9: found [9]" in result.output
    assert "user 10" not in result.output


def test_json_has_everything_in_order_of_partitions(three: Path) -> None:
    result = audit("--data-dir", str(three), "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout.splitlines()[-1])
    assert [one["partition"] for one in document["partitions"]] == [0, 2, 10]
    assert [one["ok"] for one in document["partitions"]] == [True, False, False]
    assert (document["lost"], document["doubled"], document["differences"]) == (28, 14, 14)
    assert len(document["shown"]) == 10
    assert document["memory"] is None


def test_a_store_that_cannot_be_compared_is_no_success(three: Path) -> None:
    result = audit("--data-dir", str(three), "--partition", "10")
    assert result.exit_code == 1
    assert "partition 10: the log begins at 99" in result.output


def test_memory_that_differs_is_no_success(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryReport("http://worker", users=2, behaviours=9)
    memory.add("user 7 of partition 0: memory is ahead")
    monkeypatch.setattr(audit_command, "audit_memory", lambda url: memory)
    arguments = ("--data-dir", str(three), "--partition", "0")
    result = audit(*arguments)
    assert result.exit_code == 1
    assert "memory is ahead" in result.output
    assert "1 differences" in result.output
    assert audit(*arguments, "--no-memory").exit_code == 0


def test_a_worker_that_was_named_has_to_answer(three: Path) -> None:
    result = audit("--data-dir", str(three), "--partition", "0", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "no worker answers at http://127.0.0.1:9" in result.output


@pytest.mark.parametrize(("more", "words"), [((), "holds no stores"), (("--partition", "4"), "no store")])
def test_no_stores_are_told(tmp_path: Path, more: tuple[str, ...], words: str) -> None:
    result = audit("--data-dir", str(tmp_path), *more)
    assert result.exit_code == 1
    assert words in result.output
