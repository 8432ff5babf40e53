"""A power loss takes the end of the write-ahead log: what is left opens as the function of some prefix of the log.

The file is cut at every record's end and at random bytes; what lies behind the cut is gone, or zeros, as journalling
file systems leave it. Noise is not tried: RocksDB's log reader can turn for ever on it, inside one call.

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

import numpy as np
import pytest

from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log
from tests.state.model import Model, same

RULES = Rules(cap=50, duplicate_window=300)
BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20)
BATCHES, ROWS, USERS = 90, 20, 40
BLOCK_BYTES, HEADER = 32_768, struct.Struct("<IHB")
FULL, LAST = 1, 4
CUTS_CI, CUTS = 30, 1_000


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


def write(store: BehaviourStore, batch: int) -> None:
    """One append, and a profile that names its number."""
    begin = batch * ROWS
    store.append(hashed_log(begin, begin + ROWS, USERS), position=begin + ROWS)
    store.put_users(np.array([batch % USERS]), [b"%d" % batch], position=batch + 1)


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


@pytest.fixture(scope="module")
def truth() -> dict[int, Model]:
    """What the store is at each position."""
    found = {0: Model(RULES)}
    model = Model(RULES)
    for end in range(ROWS, BATCHES * ROWS + 1, ROWS):
        model.feed(hashed_log(end - ROWS, end, USERS), end)
        rows = {user: list(kept) for user, kept in model.rows.items()}
        found[end] = Model(RULES, end, model.watermark_ms, dict(model.following), rows, list(model.seen))
    return found


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


Damage = Callable[[bytes, int], bytes]


def reopened(image: Image, journal: bytes, at: Path) -> BehaviourStore:
    """The store after its journal has become this."""
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(image.directory, at)
    (at / image.journal.name).write_bytes(journal)
    return BehaviourStore.open(at, IDENTITY, RULES, budget=BUDGET)


def check(store: BehaviourStore, truth: dict[int, Model]) -> None:
    """The store is what the log says up to its positions."""
    model = truth[store.position]
    assert store.watermark_ms == model.watermark_ms
    with store.moment() as moment:
        for user in range(USERS):
            assert same(moment.sequence(user), model.sequence(user)), user
            told = [batch for batch in range(store.users_position) if batch % USERS == user]
            assert moment.profile(user) == (b"%d" % told[-1] if told else None)


def test_cut_after_any_batch_exactly_that_batch_is_the_last(
    image: Image, truth: dict[int, Model], memory: Path
) -> None:
    journal = image.journal.read_bytes()
    ends = list(batch_ends(journal))
    assert ends[-1] == len(journal)
    seen = set()
    for end in [0, *ends]:
        with closing(reopened(image, journal[:end], memory / "store")) as store:
            check(store, truth)
            seen.add((store.position, store.users_position))
    assert max(seen) == (BATCHES * ROWS, BATCHES)
    begun = image.flushed // ROWS
    assert len(seen) == 2 * (BATCHES - begun) + 1, "a batch was lost that lay before the cut"


def cut_anywhere(image: Image, truth: dict[int, Model], at: Path, damage: Damage, cuts: int) -> None:
    journal, dice = image.journal.read_bytes(), Random(5)
    ends = [0, *batch_ends(journal)]
    for _ in range(cuts):
        cut = dice.randrange(len(journal))
        with closing(reopened(image, damage(journal, cut), at)) as store:
            check(store, truth)
            whole = sum(end <= cut for end in ends)
            assert store.position + store.users_position * ROWS >= 2 * image.flushed + (whole - 4) * ROWS


@pytest.mark.parametrize("damage", [gone, zeros])
def test_cut_at_random_bytes_an_exact_prefix_is_left(
    image: Image, truth: dict[int, Model], memory: Path, damage: Damage
) -> None:
    cut_anywhere(image, truth, memory / "store", damage, CUTS_CI)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("damage", [gone, zeros])
def test_cut_at_a_thousand_random_bytes(image: Image, truth: dict[int, Model], memory: Path, damage: Damage) -> None:
    cut_anywhere(image, truth, memory / "store", damage, CUTS)


def test_what_is_left_goes_on_as_if_nothing_had_happened(image: Image, truth: dict[int, Model], memory: Path) -> None:
    journal = image.journal.read_bytes()
    for place, cut in enumerate(range(0, len(journal), len(journal) // 5)):
        with closing(reopened(image, journal[:cut], memory / "store")) as store:
            for batch in range(min(store.position // ROWS, store.users_position), BATCHES):
                write(store, batch)
            assert (store.position, store.users_position) == (BATCHES * ROWS, BATCHES), place
            check(store, truth)
