"""Every key of a store as RocksDB has it, to compare stores byte for byte."""

from pathlib import Path
from typing import Any

from rocksdict import AccessType, Options, Rdict


def dump(path: Path) -> dict[Any, Any]:
    """All keys and values of a closed store."""
    database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    rows = {key: value for key, value in database.items()}  # noqa: C416 - not a Mapping's items
    database.close()
    return rows
