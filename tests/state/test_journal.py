"""Write-ahead logs in several files: what opens after a piece or a whole file is lost is what lay before it.

The files are framed here once more, because RocksDB gives no hold on when it begins the next one.
"""

import logging
import shutil
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from crc32c import crc32c

from muse_stream.state.errors import DamagedStoreError, StoreLockedError
from muse_stream.state.journal import BLOCK_BYTES, End, end_of, read_journal, records
from muse_stream.state.manifest import ManifestError, read_manifest
from muse_stream.state.mending import find_break
from muse_stream.state.moment import StoreReader
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY
from tests.state.prefixes import BATCHES, BUDGET, ROWS, RULES, check, go_on, write

HEADER = struct.Struct("<IHB")
FLUSHED, FILES = BATCHES // 3, 3


def framed(payloads: list[bytes]) -> bytes:
    """A log file of these records."""
    out = bytearray()
    for payload in payloads:
        rest, first = payload, True
        while first or rest:
            left = BLOCK_BYTES - len(out) % BLOCK_BYTES
            if left < HEADER.size:
                out += bytes(left)
                continue
            part, rest = rest[: left - HEADER.size], rest[left - HEADER.size :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            checksum = crc32c(bytes([kind]) + part)
            masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
            out += HEADER.pack(masked, len(part), kind) + part
            first = False
    return bytes(out)


def payloads(data: bytes) -> list[bytes]:
    return [b"".join(data[begin:stop] for begin, stop in record.parts) for record in records(data)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose last two thirds are in three write-ahead logs."""
    path = tmp_path_factory.mktemp("journals")
    with closing(BehaviourStore.open(path / "store", IDENTITY, RULES, budget=BUDGET)) as store:
        for batch in range(BATCHES):
            if batch == FLUSHED:
                store._database.db.flush()
            write(store, batch)
        shutil.copytree(path / "store", path / "image")
    (journal,) = [file for file in (path / "image").glob("*.log") if file.stat().st_size]
    found, number = payloads(journal.read_bytes()), int(journal.stem)
    assert framed(found) == journal.read_bytes()
    edges = [len(found) * place // FILES for place in range(FILES + 1)]
    for place, (first, last) in enumerate(pairwise(edges)):
        (path / "image" / f"{number + place:06}.log").write_bytes(framed(found[first:last]))
    return path / "image"


@pytest.fixture
def store_path(image: Path, tmp_path: Path) -> Path:
    shutil.copytree(image, tmp_path / "store")
    return tmp_path / "store"


def journals(path: Path) -> list[Path]:
    return sorted(path.glob("*.log"))


def reopened(path: Path) -> BehaviourStore:
    return BehaviourStore.open(path, IDENTITY, RULES, budget=BUDGET)


def test_all_files_are_replayed_and_none_is_put_aside(store_path: Path) -> None:
    with closing(reopened(store_path)) as store:
        assert store.position == BATCHES * ROWS
        check(store)
    assert not list(store_path.glob("*.torn"))


@pytest.mark.parametrize("missing", range(FILES))
@pytest.mark.parametrize("how", ["deleted", "empty"])
def test_from_a_missing_file_on_nothing_counts(
    store_path: Path, missing: int, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = journals(store_path)[missing]
    lost.unlink() if how == "deleted" else lost.write_bytes(b"")
    with closing(reopened(store_path)) as store:
        expected = (FLUSHED + (BATCHES - FLUSHED) * missing // FILES) * ROWS
        assert store.position == expected
        check(store)
        go_on(store)
        check(store)
    aside = list(store_path.glob("*.torn"))
    assert len(aside) == FILES - 1 - missing
    loud = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert len(loud) == (1 if aside else 0)
    assert all("Operator action" in entry.getMessage() for entry in loud)


@pytest.mark.parametrize("hurt", range(FILES))
def test_from_a_damaged_byte_on_nothing_counts(store_path: Path, hurt: int) -> None:
    file = journals(store_path)[hurt]
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedStoreError, match="let the worker open it once"):
        StoreReader.open(store_path)
    assert file.read_bytes() == data, "a reader changed it"
    with closing(reopened(store_path)) as store:
        begin = FLUSHED + (BATCHES - FLUSHED) * hurt // FILES
        assert begin * ROWS < store.position < (begin + (BATCHES - FLUSHED) // FILES) * ROWS
        check(store)
    aside = {each.name: each.stat().st_size for each in store_path.glob("*.torn")}
    assert len(aside) == FILES - hurt
    assert 0 < aside[f"{file.name}.torn"] <= len(data) - middle + 4_000
    StoreReader.open(store_path).close()


def test_a_crash_between_two_steps_of_mending_is_made_good(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, last = journals(store_path)
    first.write_bytes(first.read_bytes()[:-3] + b"???")
    refuse = OSError(28, "No space left on device")
    monkeypatch.setattr("muse_stream.state.mending._cut", lambda *_: (_ for _ in ()).throw(refuse))
    with pytest.raises(Exception, match="No space left"):
        reopened(store_path)
    assert not last.exists()
    monkeypatch.undo()
    with closing(reopened(store_path)) as store:
        check(store)
        assert store.users_position == FLUSHED + (BATCHES - FLUSHED) // FILES - 1


def test_a_store_that_is_open_is_not_mended(image: Path, tmp_path: Path) -> None:
    with closing(reopened(shutil.copytree(image, tmp_path / "store"))):
        live = journals(tmp_path / "store")[-1]
        live.write_bytes(b"half a record")
        with pytest.raises(StoreLockedError):
            reopened(tmp_path / "store")
        assert live.read_bytes() == b"half a record"


def test_a_living_store_is_unbroken_at_every_moment(tmp_path: Path) -> None:
    with closing(reopened(tmp_path)) as store:
        for batch in range(BATCHES):
            if batch % 7 == 0:
                store._database.db.flush()
            write(store, batch)
            assert find_break(tmp_path) is None


@pytest.mark.parametrize("size", [0, 1, 5, 11, 12, BLOCK_BYTES - 18, BLOCK_BYTES - 7, BLOCK_BYTES, 3 * BLOCK_BYTES + 1])
def test_records_of_all_lengths_are_found(tmp_path: Path, size: int) -> None:
    bodies = [struct.pack("<QI", 10 + place, 1) + bytes([place]) * size for place in range(5)]
    data = framed(bodies)
    assert payloads(data) == bodies
    file = tmp_path / "000007.log"
    file.write_bytes(data)
    found = read_journal(file)
    assert (found.number, found.end, found.whole_bytes) == (7, End.CLEAN, len(data))
    assert (found.first_sequence, found.next_sequence) == (10, 15)
    file.write_bytes(data + b"\x07")
    assert read_journal(file).end is End.SHORT
    file.write_bytes(data[:-1])
    assert (read_journal(file).end, read_journal(file).next_sequence) == (End.SHORT, 14)


def test_a_gap_between_two_records_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "000007.log"
    file.write_bytes(framed([struct.pack("<QI", 10, 2), struct.pack("<QI", 13, 1)]))
    found = read_journal(file)
    assert (found.end, found.next_sequence) == (End.DAMAGED, 12)


def test_a_block_of_zeros_ends_a_file_though_whole_records_follow(tmp_path: Path) -> None:
    size = BLOCK_BYTES - HEADER.size
    data = framed([struct.pack("<QI", place, 1).ljust(size, b"v") for place in range(5)])
    file = tmp_path / "000007.log"
    file.write_bytes(data[: 2 * BLOCK_BYTES] + bytes(BLOCK_BYTES) + data[3 * BLOCK_BYTES :])
    found = read_journal(file)
    assert (found.end, found.whole_bytes, found.next_sequence) == (End.DAMAGED, 2 * BLOCK_BYTES, 2)


@pytest.mark.parametrize("kind", [0, 5, 6, 7, 8, 9, 10, 11, 255])
def test_a_header_of_a_type_that_is_not_ours_is_damage(kind: int) -> None:
    data = framed([bytes(20)])
    assert end_of(data + HEADER.pack(1, 100, kind), len(data)) is End.DAMAGED


def test_a_list_of_files_that_cannot_be_read_is_said(image: Path, tmp_path: Path) -> None:
    path = shutil.copytree(image, tmp_path / "store")
    (listed,) = path.glob("MANIFEST-*")
    whole = listed.read_bytes()
    assert read_manifest(path).log_number == int(journals(path)[0].stem)
    for damaged in (b"", whole[:20] + b"\x05" + whole[21:], whole[:6] + b"\x05" + whole[7:]):
        listed.write_bytes(damaged)
        with pytest.raises(ManifestError, match="is damaged at byte 0"):
            read_manifest(path)
        with pytest.raises(DamagedStoreError, match="Operator action"):
            reopened(path)
    listed.write_bytes(framed([bytes([99])]))
    with pytest.raises(ManifestError, match="not known"):
        read_manifest(path)
