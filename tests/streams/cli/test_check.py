import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from muse_stream.gsu_engine.errors import BackendError
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.cli import checks, main
from muse_stream.streams.cli.check_command import line
from muse_stream.streams.cli.checks import Cluster, Finding
from muse_stream.streams.demo.http import Reply
from muse_stream.streams.settings import Settings

RUNNER = CliRunner()


def settings(directory: Path, **flags: object) -> Settings:
    return Settings.load(None, {"state.directory": directory, "topics.partitions": 4, **flags})


def write_store(directory: Path, cluster: str = "c1", topic: str = "behaviours") -> None:
    BehaviourStore.open(directory / "behaviours-0", StoreIdentity(cluster, topic, 0, 4), Rules()).close()


def test_without_a_broker_everything_else_is_still_looked_at(tmp_path: Path) -> None:
    flags = ["--brokers", "127.0.0.1:9", "--data-dir", str(tmp_path), "--set", "http.port=9", "--json"]
    result = RUNNER.invoke(main, ["check", *flags])
    assert result.exit_code == 1
    report = json.loads(result.stdout.splitlines()[-1])
    verdicts = {finding["name"]: finding["verdict"] for finding in report["findings"]}
    assert not report["ok"]
    assert verdicts["settings"] == "ok"
    assert verdicts["broker"] == "wrong"
    assert {"topics", "stores", "vector table", "worker", "gpu"} < verdicts.keys()
    assert "1 of" in result.stderr


def test_a_store_of_this_log_is_fine(tmp_path: Path) -> None:
    write_store(tmp_path)
    (found,) = checks.stores(settings(tmp_path), Cluster("c1"))
    assert found.verdict == "ok"
    assert "at offset 0" in found.text


def test_stores_of_another_log_are_told_with_advice(tmp_path: Path) -> None:
    write_store(tmp_path)
    for cluster, flags, said in (
        ("c2", {}, "cluster c1"),
        ("c1", {"topics.prefix": "x-"}, "topics.prefix"),
        ("c1", {"topics.partitions": 8}, "4 partitions"),
    ):
        (found,) = checks.stores(settings(tmp_path, **flags), Cluster(cluster))
        assert found.verdict == "wrong"
        assert said in found.advice


def test_a_directory_that_is_no_store_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "behaviours-3").mkdir()
    (tmp_path / "behaviours-3" / "note.txt").write_text("hello", encoding="utf-8")
    (found,) = checks.stores(settings(tmp_path), Cluster(None))
    assert found.verdict == "wrong"
    assert "behaviours-3" in found.text


def test_a_worker_that_is_not_ready_says_which_check_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = {"name": "partitions", "ok": False, "detail": "1 of 2 stopped", "advice": "do this", "age_seconds": 0.0}
    body = {"status": "failing", "checks": [stopped, {**stopped, "name": "model", "ok": True}]}
    monkeypatch.setattr(checks, "get_json", lambda url: Reply(503, body))
    found = list(checks.running_worker(settings(tmp_path), Reply(200, {})))
    assert found == [Finding("worker", "wrong", "not ready: partitions: 1 of 2 stopped", "do this")]


def test_why_there_is_no_gpu() -> None:
    def no_device(name: str) -> tuple[object, str]:
        message = f"{name}: no device"
        raise BackendError(message)

    nobody = Reply(0, {})
    assert checks.gpu(nobody, no_device) == Finding("gpu", "note", "not used: cuda: no device")
    assert checks.gpu(nobody, lambda name: (None, "one device")).verdict == "ok"
    assert checks.gpu(Reply(200, {"engine": {"gpu": None}}), no_device).verdict == "note"


def test_a_running_worker_says_how_its_gpu_is() -> None:
    used = {"name": "H200", "lost": None, "resident_users": 1_200}
    found = checks.gpu(Reply(200, {"engine": {"gpu": used}}))
    assert found == Finding("gpu", "ok", "H200, in use: 1,200 users are resident")
    found = checks.gpu(Reply(200, {"engine": {"gpu": {**used, "lost": "Xid 79"}}}))
    assert (found.verdict, found.text) == ("wrong", "H200 is lost: Xid 79")
    assert "until then the CPU answers" in found.advice


def test_a_finding_is_one_line_with_its_advice() -> None:
    assert line(Finding("broker", "wrong", "away", "start it")) == "WRONG broker: away -> start it"
    assert line(Finding("broker", "ok", "there")) == "ok    broker: there"


def test_the_model_store_is_looked_at_where_there_is_one(tmp_path: Path) -> None:
    assert list(checks.model_store(settings(tmp_path))) == []
    (away,) = checks.model_store(settings(tmp_path, **{"model.store": str(tmp_path / "nothing")}))
    assert away.verdict == "wrong"
    assert "look at the address" in away.text
    (tmp_path / "models" / "half").mkdir(parents=True)
    found = list(checks.model_store(settings(tmp_path, **{"model.store": str(tmp_path / "models")})))
    assert [(one.name, one.verdict) for one in found] == [("model store", "ok"), ("model", "note")]
    assert "half-written" in found[1].text
