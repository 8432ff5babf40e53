"""A power loss takes the end of the write-ahead log: what is left opens as the function of some prefix of the log.

The file is cut at every record's end and at random bytes; what lies behind the cut is gone, zeros, noise, noise that
RocksDB's log reader would turn on for ever, or a page of zeros with good records behind it, over which it would step.

RocksDB's format: blocks of 32 KiB; records of a 7-byte header (checksum u32, length u16, type u8) and a payload; types
1 and 4 end a batch.
"""

import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY
from tests.state.prefixes import BATCHES, BUDGET, ROWS, RULES, check, go_on, write

BLOCK_BYTES, HEADER = 32_768, struct.Struct("<IHB")
FULL, LAST, RECYCLED = 1, 4, 5
PAGE_BYTES = 4096
CUTS_CI, CUTS = 20, 1_000


@dataclass(frozen=True)
class Image:
    """The directory of a store as it lay when its process died.

    Attributes:
        directory: The files.
        journal: The write-ahead log among them.
        flushed: Position that the table files alone have reached.

    """

    directory: Path
    journal: Path
    flushed: int


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: a store is opened hundreds of times, each with several syncs."""
    shared = Path("/dev/shm")  # noqa: S108 - the name below it is nobody else's
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as path:
        yield Path(path)


@pytest.fixture(scope="module", params=[0, BATCHES // 2], ids=["all in the log", "half in tables"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    path = tmp_path_factory.mktemp("power")
    with closing(BehaviourStore.open(path / "store", IDENTITY, RULES, budget=BUDGET)) as store:
        for batch in range(BATCHES):
            if batch == request.param and batch:
                store._database.db.flush()
            write(store, batch)
        shutil.copytree(path / "store", path / "image")
    (journal,) = [file for file in (path / "image").glob("*.log") if file.stat().st_size]
    return Image(path / "image", journal, request.param * ROWS)


def batch_ends(journal: bytes) -> Iterator[int]:
    """Offsets at which whole batches end."""
    at = 0
    while at + HEADER.size <= len(journal):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < HEADER.size:
            at += left
            continue
        _, size, kind = HEADER.unpack_from(journal, at)
        at += HEADER.size + size
        if kind in (FULL, LAST):
            yield at


def gone(journal: bytes, cut: int) -> bytes:
    return journal[:cut]


def zeros(journal: bytes, cut: int) -> bytes:
    return journal[:cut] + bytes(len(journal) - cut)


def noise(journal: bytes, cut: int) -> bytes:
    return journal[:cut] + Random(cut).randbytes(len(journal) - cut)


def recycled(journal: bytes, cut: int) -> bytes:
    """Noise that looks like a record of a recycled file, where the next record would begin."""
    begin = max(end for end in [0, *batch_ends(journal)] if end <= cut)
    return journal[:begin] + HEADER.pack(cut, 11, RECYCLED) + Random(cut).randbytes(len(journal) - begin)


def hole(journal: bytes, cut: int) -> bytes:
    """A page that never reached the disk."""
    return journal[:cut] + bytes(PAGE_BYTES) + journal[cut + PAGE_BYTES :]


Damage = Callable[[bytes, int], bytes]


def reopened(image: Image, journal: bytes, at: Path) -> BehaviourStore:
    """The store after its journal has become this."""
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(image.directory, at)
    (at / image.journal.name).write_bytes(journal)
    return BehaviourStore.open(at, IDENTITY, RULES, budget=BUDGET)


def test_cut_after_any_batch_exactly_that_batch_is_the_last(image: Image, memory: Path) -> None:
    journal = image.journal.read_bytes()
    ends = list(batch_ends(journal))
    assert ends[-1] == len(journal)
    seen = set()
    for end in [0, *ends]:
        with closing(reopened(image, journal[:end], memory / "store")) as store:
            check(store)
            seen.add((store.position, store.users_position))
    assert max(seen) == (BATCHES * ROWS, BATCHES)
    begun = image.flushed // ROWS
    assert len(seen) == 2 * (BATCHES - begun) + 1, "a batch was lost that lay before the cut"


def cut_anywhere(image: Image, at: Path, damage: Damage, cuts: int) -> None:
    journal, dice = image.journal.read_bytes(), Random(5)
    ends = [0, *batch_ends(journal)]
    for _ in range(cuts):
        cut = dice.randrange(len(journal))
        with closing(reopened(image, damage(journal, cut), at)) as store:
            check(store)
            whole = sum(end <= cut for end in ends)
            assert store.position + store.users_position * ROWS >= 2 * image.flushed + (whole - 4) * ROWS


@pytest.mark.parametrize("damage", [gone, zeros, noise, recycled, hole])
def test_cut_at_random_bytes_an_exact_prefix_is_left(image: Image, memory: Path, damage: Damage) -> None:
    cut_anywhere(image, memory / "store", damage, CUTS_CI)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("damage", [gone, zeros, noise, recycled, hole])
def test_cut_at_a_thousand_random_bytes(image: Image, memory: Path, damage: Damage) -> None:
    cut_anywhere(image, memory / "store", damage, CUTS)


def test_what_is_left_goes_on_as_if_nothing_had_happened(image: Image, memory: Path) -> None:
    journal = image.journal.read_bytes()
    for place, cut in enumerate(range(0, len(journal), len(journal) // 5)):
        with closing(reopened(image, journal[:cut], memory / "store")) as store:
            go_on(store)
            assert (store.position, store.users_position) == (BATCHES * ROWS, BATCHES), place
            check(store)
