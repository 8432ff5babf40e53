"""RocksDB's log file format, read without RocksDB: how far a file is whole, and what its records say.

Invariant: a record counts only if it, and every record before it in the file, is complete and has the right checksum.

Both the write-ahead logs (`000012.log`) and the list of files (`MANIFEST-000005`) are of this format:

    file     blocks of 32 KiB; a block's last bytes, when fewer than 7, are filling
    record   checksum u32 LE (CRC-32C over type and payload, masked), length u16 LE, type u8, payload
    type     1 whole, 2 first part, 3 middle part, 4 last part; others are for settings that no store here uses

A payload of a write-ahead log begins with the sequence number (u64 LE) of its first change and the number of changes
(u32 LE): the next record's sequence number follows from them.

RocksDB 9.8 must not be left to find out itself. Its reader turns for ever, in one call, on a header whose type is that
of a recycled file (5 to 8, 11), which noise behind a torn end has once in fifty times; and it steps over a block that
reads as zeros and goes on with the next one, which leaves a hole. Source: `db/log_reader.cc`, and by experiment.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from crc32c import crc32c

BLOCK_BYTES = 32 * 1024
_HEADER = struct.Struct("<IHB")
_HEADER_BYTES = _HEADER.size
_SEQUENCE = struct.Struct("<QI")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK_DELTA = 0xA282EAD8  # RocksDB's `util/crc32c.h`

Data = bytes | mmap.mmap


class End(Enum):
    """How a file ends, behind its last whole record."""

    CLEAN = "clean"
    SHORT = "short"
    """In the middle of a record, as a process leaves it that dies or is writing; RocksDB reads this rightly."""
    DAMAGED = "damaged"
    """With bytes that are no record."""


@dataclass(frozen=True, slots=True)
class Record:
    """A complete record: where its parts' payloads lie in the file, and where it ends."""

    parts: tuple[tuple[int, int], ...]
    end: int


@dataclass(frozen=True, slots=True)
class Journal:
    """What a write-ahead log holds.

    Attributes:
        path: The file.
        size: Bytes in it.
        whole_bytes: Where its last good record ends.
        end: What lies behind that.
        first_sequence: Sequence number of its first change; None without a record.
        next_sequence: The one that follows its last change; None without a record.

    """

    path: Path
    size: int
    whole_bytes: int
    end: End
    first_sequence: int | None
    next_sequence: int | None

    @property
    def number(self) -> int:
        """The file's number; later files have larger ones."""
        return int(self.path.stem)


def read_journal(path: Path) -> Journal:
    """Read a write-ahead log to its end, or to its first damage; a gap between two sequence numbers is damage."""
    first = following = None
    whole = 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size == 0:
            return Journal(path, 0, 0, End.CLEAN, None, None)
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            for record in records(data):
                head = b"".join([data[begin:stop] for begin, stop in record.parts[:3]])[: _SEQUENCE.size]
                if len(head) < _SEQUENCE.size:
                    return Journal(path, size, whole, End.DAMAGED, first, following)
                sequence, changes = _SEQUENCE.unpack(head)
                if following is not None and sequence != following:
                    return Journal(path, size, whole, End.DAMAGED, first, following)
                first = sequence if first is None else first
                following, whole = sequence + changes, record.end
            return Journal(path, size, whole, end_of(data, whole), first, following)


def records(data: Data) -> Iterator[Record]:
    """The complete records of `data` in order, up to the first byte that is not part of one."""
    at, size = 0, len(data)
    parts: list[tuple[int, int]] = []
    while True:
        at = _next_header(at)
        kind, begin, stop = _part(data, at, size)
        if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            return
        parts.append((begin, stop))
        at = stop
        if kind in (_WHOLE, _LAST):
            yield Record(tuple(parts), at)
            parts = []


def end_of(data: Data, whole_bytes: int) -> End:
    """What lies behind the last complete record, which ends at `whole_bytes`."""
    at, size, inside = _next_header(whole_bytes), len(data), False
    while at + _HEADER_BYTES <= size:
        kind, _, stop = _part(data, at, size)
        if kind not in (_MIDDLE, _FIRST) or (kind == _MIDDLE) != inside:
            return End.SHORT if _is_cut_off(data, at, size) else End.DAMAGED
        inside, at = True, _next_header(stop)
    return End.CLEAN if whole_bytes == size or (not inside and at >= size) else End.SHORT


def _next_header(at: int) -> int:
    left = BLOCK_BYTES - at % BLOCK_BYTES
    return at + left if left < _HEADER_BYTES else at


def _part(data: Data, at: int, size: int) -> tuple[int, int, int]:
    """(type, begin, stop) of the payload behind the header at `at`; type 0 where there is no right and whole part."""
    begin = at + _HEADER_BYTES
    if begin > size:
        return 0, at, at
    checksum, length, kind = _HEADER.unpack_from(data, at)
    stop = begin + length
    if not _WHOLE <= kind <= _LAST or stop > size or length > BLOCK_BYTES - begin % BLOCK_BYTES:
        return 0, at, at
    return (kind, begin, stop) if checksum == _masked(crc32c(data[begin - 1 : stop])) else (0, at, at)


def _is_cut_off(data: Data, at: int, size: int) -> bool:
    """Whether the header at `at` is one of ours whose payload the file's end cuts off."""
    _, length, kind = _HEADER.unpack_from(data, at)
    return bool(_WHOLE <= kind <= _LAST and at + _HEADER_BYTES + length > size)


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF
