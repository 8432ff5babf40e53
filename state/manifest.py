"""RocksDB's list of its own files (`MANIFEST-000005`), as far as one question needs it: which write-ahead logs count.

Invariant: an answer comes from a list whose every record is whole and understood; else the error says what is wrong.

The file is a journal (see `journal.py`) of edits; an edit is a run of fields, each a tag (varint) and its value. Read
are log number (2: earlier write-ahead logs are in tables), last sequence number (4) and column families (200: none but
the default one is expected). Other known fields are stepped over. Source: `db/version_edit.h` of RocksDB 9.8.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muse_stream.state.journal import End, end_of, records

_LOG_NUMBER, _LAST_SEQUENCE, _COLUMN_FAMILY = 2, 4, 200
_NUMBERS = {_LOG_NUMBER, 3, _LAST_SEQUENCE, 9, 10, _COLUMN_FAMILY, 203, 300}
_TEXTS = {1, 201}
_NEW_FILE, _DELETED_FILE, _COMPACT_CURSOR = 103, 6, 5
_NEW_FILE_END = 1
_IGNORABLE = 1 << 13  # such a field carries its length, so that versions that do not know it can step over it


class ManifestError(Exception):
    """The list of files is damaged or of a form that is not known here."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the list says of write-ahead logs.

    Attributes:
        number: The list's own file number; numbers are given in order, so what is above was made later.
        log_number: The first write-ahead log whose changes are not all in tables.
        last_sequence: Last sequence number as of the last edit.

    """

    number: int
    log_number: int
    last_sequence: int


def read_manifest(directory: Path) -> Manifest:
    """Read the list that `CURRENT` names.

    Raises:
        ManifestError: There is none, or it is damaged.
        OSError: It cannot be read.

    """
    name = (directory / "CURRENT").read_text("ascii", "replace").strip()
    number = name.removeprefix("MANIFEST-")
    if number == name or not number.isdecimal() or not (directory / name).is_file():
        message = f"CURRENT names {name!r}, expected a file MANIFEST-<number>"
        raise ManifestError(message)
    data = (directory / name).read_bytes()
    values = {_LOG_NUMBER: 0, _LAST_SEQUENCE: 0}
    whole = 0
    for record in records(data):
        edit = b"".join([data[begin:stop] for begin, stop in record.parts])
        values.update(_fields(edit, f"{name} at byte {whole}"))
        whole = record.end
    if whole == 0 or end_of(data, whole) is End.DAMAGED:
        message = f"{name} is damaged at byte {whole} of {len(data)}"
        raise ManifestError(message)
    return Manifest(int(number), values[_LOG_NUMBER], values[_LAST_SEQUENCE])


def _fields(edit: bytes, where: str) -> Iterator[tuple[int, int]]:
    """The numbers of an edit by tag."""
    at = 0
    try:
        while at < len(edit):
            tag, at = _varint(edit, at)
            if tag in _NUMBERS:
                value, at = _varint(edit, at)
                yield tag, value
            else:
                at = _skip(edit, tag, at)
    except (IndexError, KeyError) as error:
        message = f"{where} has a field that is not known ({error})"
        raise ManifestError(message) from error


def _skip(edit: bytes, tag: int, at: int) -> int:
    if tag & _IGNORABLE or tag in _TEXTS:
        return _skip_text(edit, at)
    if tag == _COMPACT_CURSOR:
        return _skip_text(edit, _varint(edit, at)[1])
    if tag == _DELETED_FILE:
        return _varint(edit, _varint(edit, at)[1])[1]
    if tag == _NEW_FILE:
        return _skip_file(edit, at)
    raise KeyError(tag)


def _skip_file(edit: bytes, at: int) -> int:
    """A table: level, number, size, smallest key, largest key, two sequence numbers, then (tag, text) up to tag 1."""
    for _ in range(3):
        _, at = _varint(edit, at)
    at = _skip_text(edit, _skip_text(edit, at))
    for _ in range(2):
        _, at = _varint(edit, at)
    while True:
        tag, at = _varint(edit, at)
        if tag == _NEW_FILE_END:
            return at
        at = _skip_text(edit, at)


def _skip_text(edit: bytes, at: int) -> int:
    size, at = _varint(edit, at)
    if at + size > len(edit):
        raise IndexError(at)
    return at + size


def _varint(edit: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = edit[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
