"""The jars are fetched once, wholly, and what cannot be fetched is said."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from muse_stream.streams.errors import DownloadError
from muse_stream.streams.kafka import jars

NOBODY = {"nobody": "http://127.0.0.1:9/maven2"}  # the discard port: nothing answers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / f"kafka-{jars.KAFKA_VERSION}"
    path.mkdir()
    return path


def test_without_network_the_error_says_what_and_what_to_do(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(DownloadError) as caught:
        jars.kafka_jars(tmp_path, report=said.append, remote=NOBODY)
    text = str(caught.value)
    for part in ("org.apache.kafka:kafka_2.13:4.3.1", NOBODY["nobody"], str(tmp_path), "--brokers", "jgo.conf"):
        assert part in text
    assert "44 MB" in said[0]
    assert not list(tmp_path.rglob("*.partial"))


def test_listed_jars_need_no_network(tmp_path: Path, folder: Path) -> None:
    (folder / "a.jar").write_bytes(b"jar")
    (folder / "jars.json").write_text(json.dumps(["a.jar"]))
    said: list[str] = []
    assert jars.kafka_jars(tmp_path, report=said.append, remote=NOBODY) == [folder / "a.jar"]
    assert not said


def test_list_with_a_missing_jar_is_not_believed(tmp_path: Path, folder: Path) -> None:
    (folder / "jars.json").write_text(json.dumps(["gone.jar"]))
    with pytest.raises(DownloadError):
        jars.kafka_jars(tmp_path, remote=NOBODY)


class FakeArtifact:
    """Fetched by writing a file, as jgo does, or not at all."""

    def __init__(self, path: Path, *, fails: bool = False) -> None:
        self._path, self._fails = path, fails

    def resolve(self) -> Path:
        if self._fails:
            text = "no route to host"
            raise OSError(text)
        self._path.write_bytes(b"jar")
        return self._path


class FakeDependency:
    """What jgo's resolver returns."""

    def __init__(self, artifact: FakeArtifact, scope: str) -> None:
        self.artifact, self.scope = artifact, scope


@pytest.fixture
def tree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[FakeDependency]:
    """A dependency tree of one input and what the test adds."""
    others: list[FakeDependency] = []

    def resolve(_resolver: object, _wanted: object) -> tuple[list[Any], list[Any]]:
        return [FakeDependency(FakeArtifact(folder / "kafka.jar"), "compile")], list(others)

    monkeypatch.setattr(jars._MarkingResolver, "resolve", resolve)
    return others


def test_fetched_once_with_progress(tmp_path: Path, folder: Path, tree: list[FakeDependency]) -> None:
    tree += [
        FakeDependency(FakeArtifact(folder / "runtime.jar"), "runtime"),
        FakeDependency(FakeArtifact(folder / "test.jar"), "test"),
    ]
    said: list[str] = []
    found = jars.kafka_jars(tmp_path, report=said.append, remote={})
    assert found == [folder / "kafka.jar", folder / "runtime.jar"]
    assert "2 of 2 files" in said[-1]
    assert jars.kafka_jars(tmp_path, remote=NOBODY) == found


def test_interrupted_fetch_leaves_no_half_jar(tmp_path: Path, folder: Path, tree: list[FakeDependency]) -> None:
    tree.append(FakeDependency(FakeArtifact(folder / "b.jar", fails=True), "compile"))
    (folder / "old.jar").write_bytes(b"hal")
    (folder / "old.jar.partial").touch()
    with pytest.raises(DownloadError, match="no route to host"):
        jars.kafka_jars(tmp_path, remote={})
    assert not (folder / "jars.json").exists()
    assert not (folder / "old.jar").exists()
    assert not (folder / "old.jar.partial").exists()


def test_second_process_waits_for_the_first(tmp_path: Path, folder: Path, tree: list[FakeDependency]) -> None:
    said: list[str] = []
    waiting = threading.Event()

    def report(line: str) -> None:
        said.append(line)
        waiting.set()

    with jars._locked(folder, said.append):
        other = threading.Thread(target=lambda: jars.kafka_jars(tmp_path, report=report, remote={}))
        other.start()
        assert waiting.wait(20)
        assert not tree
        assert not (folder / "jars.json").exists()
    other.join(20)
    assert "another process" in said[0]
    assert (folder / "jars.json").exists()


def test_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.default_cache() == tmp_path / "muse-stream"
