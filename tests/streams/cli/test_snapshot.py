"""What `snapshot` prints, how it ends, what it never does."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshots import write
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.cli import main, snapshot_save
from muse_stream.streams.demo.http import Reply
from tests.state.logs import hashed_log

RUNNER = CliRunner()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A location with two snapshots of partition 0 and one of partition 1."""
    for partition, ends in ((0, (100, 250)), (1, (70,))):
        store = BehaviourStore.open(
            tmp_path / f"store-{partition}", StoreIdentity("c", "behaviours", partition, 2), Rules()
        )
        for number, end in enumerate(ends):
            store.append(hashed_log(store.position, end), position=end)
            store.checkpoint(tmp_path / f"checkpoint-{partition}-{number}")
            location = SnapshotLocation(str(tmp_path / "there"), "behaviours", partition)
            write(tmp_path / f"checkpoint-{partition}-{number}", location, "1", now_ms=1_700_000_000_000 + number)
        store.close()
    return tmp_path / "there"


def snapshot(*arguments: str) -> Result:
    return RUNNER.invoke(main, ["snapshot", *arguments])


def document(result: Result) -> Any:
    return json.loads(result.stdout.splitlines()[-1])


def damage(there: Path) -> None:
    """One byte of the largest file of partition 1."""
    path = max((there / "behaviours-1" / "files").iterdir(), key=lambda path: path.stat().st_size)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))


def test_a_list_says_what_is_there_and_what_the_log_must_keep(there: Path) -> None:
    result = snapshot("list", "--location", str(there))
    assert result.exit_code == 0, result.output
    assert "partition 0: the log is needed from offset 100 on" in result.output
    assert "partition 1: the log is needed from offset 70 on" in result.output
    assert "2023-11-14 22:13:20" in result.output
    found = document(snapshot("list", "--location", str(there), "--partition", "0", "--json"))["partitions"]
    assert [(one["partition"], one["needed_from"]) for one in found] == [(0, 100)]
    assert [(one["position"], one["state"]) for one in found[0]["snapshots"]] == [(250, "complete"), (100, "complete")]


def test_a_list_of_what_is_damaged_is_no_success(there: Path) -> None:
    for path in (there / "behaviours-1" / "files").iterdir():
        path.unlink()
    result = snapshot("list", "--location", str(there))
    assert result.exit_code == 1
    assert "incomplete" in result.output
    assert "partition 1: no complete snapshot; the whole log is needed" in result.output


def test_verify_reads_everything(there: Path) -> None:
    assert snapshot("verify", "--location", str(there)).exit_code == 0
    damage(there)
    result = snapshot("verify", "--location", str(there), "--json")
    assert result.exit_code == 1
    assert [(one["partition"], one["ok"]) for one in document(result)["partitions"]] == [(0, True), (1, False)]
    assert "expected" in document(result)["partitions"][1]["error"]


def test_restore_makes_the_stores_of_a_data_directory(there: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = snapshot("restore", "--location", str(there), "--data-dir", str(data))
    assert result.exit_code == 0, result.output
    assert "partition 0: " in result.output
    for partition, position in ((0, 250), (1, 70)):
        with StoreReader.open(data / f"behaviours-{partition}") as store:
            assert store.position == position
    again = snapshot("restore", "--location", str(there), "--data-dir", str(data), "--json")
    assert again.exit_code == 1
    assert all("move this directory away" in one["error"] for one in document(again)["partitions"])


def test_one_can_be_named(there: Path, tmp_path: Path) -> None:
    first = SnapshotLocation(str(there), "behaviours", 0).snapshots()[1].name
    wanted = ("--partition", "0", "--name", first, "--data-dir", str(tmp_path / "data"))
    assert snapshot("restore", "--location", str(there), *wanted).exit_code == 0
    with StoreReader.open(tmp_path / "data" / "behaviours-0") as store:
        assert store.position == 100


def test_what_is_damaged_is_not_restored_and_others_are(there: Path, tmp_path: Path) -> None:
    damage(there)
    result = snapshot("restore", "--location", str(there), "--data-dir", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["behaviours-0"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no location of snapshots"),
        (("--location", "nowhere://x"), "not a location"),
        (("--location", "memory://empty"), "no snapshots of any partition of topic 'behaviours'"),
        (("--location", "memory://empty", "--partition", "5"), "no snapshots of partition 5"),
    ],
)
def test_nothing_to_work_on_is_told(arguments: tuple[str, ...], words: str) -> None:
    result = snapshot("list", *arguments)
    assert result.exit_code == 1
    assert words in result.output


class Worker:
    """A worker that owns partitions 2 and 4; each of its answers is a step on."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.attempts = {2: 5, 4: 0}
        self.phase = {2: "running", 4: "idle"}
        self.error: str | None = None
        self.forgets = False

    def get(self, url: str) -> Reply:
        for number, phase in self.phase.items():
            if phase == "running":
                self.attempts[number] += 1
            self.phase[number] = "running" if phase == "waiting" else "idle"
        if self.asked and self.forgets:
            self.phase, self.attempts = dict.fromkeys(self.phase, "idle"), dict.fromkeys(self.phase, 0)
        return Reply(200, {"enabled": True, "partitions": [self.shown(number) for number in self.phase]})

    def post(self, url: str, body: bytes) -> Reply:
        number = int(url.rpartition("/")[2])
        if number not in self.phase:
            return Reply(409, {"detail": "the owner is http://other"})
        self.asked.append(number)
        self.phase[number] = "waiting"
        return Reply(202, self.shown(number))

    def shown(self, number: int) -> dict[str, object]:
        plain = {"partition": number, "phase": self.phase[number], "attempts": self.attempts[number]}
        sizes = {"done_bytes": 0, "total_bytes": 0, "total": 10, "sent": 3, "position": 8}
        return {**plain, **sizes, "latest": "name", "error": self.error}


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()
    monkeypatch.setattr(snapshot_save, "get_json", made.get)
    monkeypatch.setattr(snapshot_save, "post_json", made.post)
    monkeypatch.setattr(snapshot_save, "LOOK_SECONDS", 0.0)
    return made


def test_save_waits_for_snapshots_that_begin_after_it_was_asked(worker: Worker) -> None:
    result = snapshot("save")
    assert result.exit_code == 0, result.output
    assert worker.asked == [2, 4]
    assert worker.attempts == {2: 7, 4: 1}
    assert "partition 4: name at offset 8, 10 bytes, 3 of them new" in result.output


def test_a_snapshot_that_fails_is_no_success(worker: Worker) -> None:
    worker.error = "no room"
    result = snapshot("save", "--partition", "4", "--json")
    assert result.exit_code == 1
    assert worker.asked == [4]
    assert document(result)["partitions"][0]["error"] == "no room"


def test_a_worker_that_does_not_own_it_says_who_does(worker: Worker) -> None:
    result = snapshot("save", "--partition", "3")
    assert result.exit_code == 1
    assert "the owner is http://other" in result.output


def test_a_worker_that_lost_it_meanwhile_is_asked_again_by_the_operator(worker: Worker) -> None:
    worker.forgets = True
    result = snapshot("save", "--partition", "4")
    assert result.exit_code == 1
    assert "a rebalance" in result.output


def test_save_needs_a_worker() -> None:
    result = snapshot("save", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "no worker answers" in result.output
