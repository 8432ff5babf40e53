"""The commands against a real broker and a real worker, as an operator uses them beside a running system."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from muse_stream.streams.cli import main
from muse_stream.streams.demo.requester import Requester
from muse_stream.streams.demo.stage import Stage, set_up
from muse_stream.streams.wire.requests import NotBefore

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with set_up(lambda line: None, {}) as running:
        yield running


def run(stage: Stage, *arguments: str) -> Result:
    return RUNNER.invoke(main, [*arguments, "--config", str(stage.config)])


def run_json(stage: Stage, *arguments: str) -> dict[str, object]:
    result = run(stage, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_replay_request_and_inspect_see_the_same_history(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl"
    times = [1_700_000_000_000 + second * 1_000 for second in range(3)]
    items = ["85123A", "71053", "22423"]
    records = [
        {"user": "anna", "item": item, "event_time_ms": time_ms, "action": "click"}
        for item, time_ms in zip(items, times, strict=True)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert run_json(stage, "replay", str(path))["behaviours_sent"] == 3
    until_stored(stage, "anna", 3)
    answer = run_json(stage, "request", "--user", "anna", "85123A", "22423", "--k", "2")
    assert answer["status"] == "ok"
    assert answer["history_length"] == 3
    assert isinstance(answer["retrieved"], list)
    assert [found["position"][0] for found in answer["retrieved"]] == [0, 2]
    document = run_json(stage, "inspect", "anna")
    assert isinstance(document["behaviours"], list)
    assert [row["title"] for row in document["behaviours"]] == [
        "REGENCY CAKESTAND 3 TIER",
        "WHITE METAL LANTERN",
        "WHITE HANGING HEART T-LIGHT HOLDER",
    ]
    assert "REGENCY CAKESTAND 3 TIER" in run(stage, "inspect", "anna").output


def until_stored(stage: Stage, user: str, length: int) -> None:
    """Wait, through the request path, until a user's history has that length."""
    with Requester(stage.settings) as requester:
        for _ in range(500):
            answer = requester.ask(user, [], prefetch=True).answer
            if answer is not None and answer.history_length == length:
                return
    pytest.fail(f"{user} never had {length} behaviours")


def test_a_request_is_shown_ranked(stage: Stage) -> None:
    output = run(stage, "request", "--user", "17850", "85123A", "nosuchitem").output
    assert "user 17850" in output
    assert "nosuchitem" in output
    assert "muse-1" in output


def test_a_score_is_explained(stage: Stage) -> None:
    user = str(int(stage.retail.behaviours.user[0]))
    output = run(stage, "request", "--user", user, "85123A", "--explain").output
    assert "85123A, score" in output
    assert "retrieved_simtier" in output
    answer = run_json(stage, "request", "--user", user, "85123A", "--explain")
    assert isinstance(answer["explanation"], dict)
    assert isinstance(answer["behaviours"], dict)
    assert len(answer["explanation"]["candidates"]) == 1


def test_a_refused_request_fails_with_the_workers_words(stage: Stage) -> None:
    result = run(stage, "request", "--user", "17850", "85123A", "--k", "100000")
    assert result.exit_code == 1
    assert "answered malformed: k is 100000" in result.output


def test_topics_are_as_they_must_be_and_creating_them_again_changes_nothing(stage: Stage) -> None:
    assert "WRONG" not in run(stage, "topics", "show").output
    created = run_json(stage, "topics", "create")
    assert isinstance(created["topics"], list)
    assert {topic["action"] for topic in created["topics"]} == {"unchanged"}


def test_another_partition_count_is_refused(stage: Stage) -> None:
    result = run(stage, "topics", "create", "--partitions", "9")
    assert result.exit_code == 1
    assert "4 partitions, expected 9" in result.output


def test_check_finds_nothing_wrong(stage: Stage) -> None:
    report = run_json(stage, "check")
    assert report["ok"]
    assert isinstance(report["findings"], list)
    text = {finding["name"]: finding["text"] for finding in report["findings"]}
    assert "2,501 vectors in space v1" in text["vector table"]
    assert stage.url in text["worker"]


def test_the_bundled_purchases_are_limited_and_paced(stage: Stage) -> None:
    sent = run_json(stage, "replay", "--limit", "40", "--no-catalogue", "--rate", "1000")
    assert sent["behaviours_sent"] == 40
    first = str(int(stage.retail.behaviours.user[0]))
    until_stored(stage, first, int((stage.retail.behaviours.user[:40] == int(first)).sum()))


def test_not_before_a_write_that_never_comes_is_answered(stage: Stage) -> None:
    with Requester(stage.settings) as requester:
        asked = requester.ask("17850", ["85123A"], not_before=NotBefore(0, 10**9), deadline_ms=300)
    assert asked.answer is not None
    assert not asked.scored


def test_audit_finds_the_stores_and_memory_equal_to_the_log(stage: Stage) -> None:
    run(stage, "request", "--user", "17850", "85123A")
    report = run_json(stage, "audit")
    assert report["ok"]
    assert (report["lost"], report["doubled"], report["differences"]) == (0, 0, 0)
    assert isinstance(report["partitions"], list)
    assert [one["compared"] for one in report["partitions"]] == ["whole"] * 4
    assert isinstance(report["memory"], dict)
    assert report["memory"]["vectors"] == 2_501
    assert report["memory"]["users"] > 0
    output = run(stage, "audit", "--partition", "1", "--no-memory").output
    assert "equal: 0 lost, 0 doubled" in output
    assert "resident" not in output
