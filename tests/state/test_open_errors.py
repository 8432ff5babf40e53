"""Directories that a store must refuse, each with its own error, and leave as they were."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from muse_stream.state import errors
from muse_stream.state.items import ItemStore
from muse_stream.state.keys import segment_key
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, plain_batch


def open_store(path: Path) -> BehaviourStore:
    return BehaviourStore.open(path, IDENTITY, Rules())


def identity_of(path: Path) -> object:
    with StoreReader.open(path) as reader:
        return reader.identity


def listing(path: Path) -> list[tuple[str, int]]:
    return sorted((str(entry), entry.stat().st_size) for entry in path.rglob("*"))


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, cluster_id="cluster-two"),
        replace(IDENTITY, topic="clicks"),
        replace(IDENTITY, partition=4),
        replace(IDENTITY, partition_count=16),
    ],
)
def test_a_store_of_another_log(tmp_path: Path, other: object) -> None:
    open_store(tmp_path).close()
    with pytest.raises(errors.IdentityError, match="expected StoreIdentity") as caught:
        BehaviourStore.open(tmp_path, other, Rules())  # type: ignore[arg-type]
    assert "Operator action:" in str(caught.value)
    assert caught.value.path == tmp_path
    open_store(tmp_path).close()


def test_an_unknown_layout_version(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    db[b"\x00layout"] = b"behaviours/99"
    db.close()
    for opening in (open_store, StoreReader.open):
        with pytest.raises(errors.UnknownLayoutError, match="'behaviours/99', expected 'behaviours/2'"):
            opening(tmp_path)


def test_a_store_of_another_kind(tmp_path: Path) -> None:
    ItemStore.open(tmp_path, IDENTITY).close()
    with pytest.raises(errors.UnknownLayoutError, match="items/1"):
        open_store(tmp_path)


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    before = listing(tmp_path)
    with pytest.raises(errors.NotAStoreError, match=r"holiday\.jpg"):
        open_store(tmp_path)
    assert listing(tmp_path) == before


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(errors.NotAStoreError, match="expected a directory"):
        open_store(tmp_path / "store")


def test_a_rocksdb_of_somebody_else(tmp_path: Path) -> None:
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    db[b"hello"] = b"world"
    db.close()
    with pytest.raises(errors.NotAStoreError, match="no layout label"):
        open_store(tmp_path)


def test_a_garbled_store(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    (tmp_path / "CURRENT").write_bytes(b"garbage")
    with pytest.raises(errors.DamagedStoreError, match="CURRENT names 'garbage'"):
        open_store(tmp_path)


def test_what_a_death_during_creation_leaves_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "LOCK").write_bytes(b"")
    (tmp_path / "LOG").write_bytes(b"...")
    open_store(tmp_path).close()


def test_a_reader_needs_a_store_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAStoreError, match="there is no store here"):
        StoreReader.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_is_open_in_this_process(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(errors.StoreLockedError, match="open elsewhere"):
        open_store(tmp_path)
    store.close()


def test_a_store_that_is_open_in_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from rocksdict import Rdict, Options\n"
        "db = Rdict(sys.argv[1], Options(raw_mode=True)); print('open', flush=True); sys.stdin.read()"
    )
    open_store(tmp_path).close()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        with pytest.raises(errors.StoreLockedError, match="Operator action: stop the other process"):
            open_store(tmp_path)
        other.stdin.close()
    open_store(tmp_path).close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(errors.StoreDiskError, match="Permission denied"):
        open_store(tmp_path / "store")
    tmp_path.chmod(0o700)


def test_a_missing_segment_is_noticed_by_the_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for offset in range(4):
        store.append(plain_batch([1], offset), position=offset + 1)
    store.close()
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    del db[segment_key(1, 2)]
    db.close()
    store = open_store(tmp_path)
    with pytest.raises(errors.DamagedStoreError, match="a user has 3 behaviours from 0 on, but the next number is 4"):
        store.sequence(1)
    store.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (replace(IDENTITY, topic_id="first"), replace(IDENTITY, topic_id="second")),
        (replace(IDENTITY, users_topic_id="first"), replace(IDENTITY, users_topic_id="second")),
    ],
)
def test_a_topic_that_was_created_again(tmp_path: Path, first: StoreIdentity, second: StoreIdentity) -> None:
    BehaviourStore.open(tmp_path, first, Rules()).close()
    before = identity_of(tmp_path)
    with pytest.raises(errors.IdentityError, match=r"deleted and created again.*'first'.*'second'.*Operator action"):
        BehaviourStore.open(tmp_path, second, Rules())
    assert identity_of(tmp_path) == before


def test_a_topic_id_is_adopted_once_it_is_known_and_kept_where_it_is_not(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    known = replace(IDENTITY, topic_id="one", users_topic_id="two")
    adopting = BehaviourStore.open(tmp_path, known, Rules())
    assert adopting.identity == known
    adopting.close()
    again = open_store(tmp_path)
    assert again.identity == known
    again.close()
    assert identity_of(tmp_path) == known


def test_an_item_topic_that_was_created_again(tmp_path: Path) -> None:
    log = replace(IDENTITY, topic="items", partition=0, partition_count=1, topic_id="first")
    ItemStore.open(tmp_path, log).close()
    with pytest.raises(errors.IdentityError, match="created again"):
        ItemStore.open(tmp_path, replace(log, topic_id="second"))
