"""Shards as the released data set has them: `DIR/PART/PART-shard-000000.parquet`, ZSTD, row groups of 10 000.

Invariant: `DIR/PART` appears when everything is in it; until then the shards lie in `DIR/.PART.unfinished`, which the
next export of that part takes away.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.streams.errors import ExportError

GROUP_ROWS = 10_000
GROUP_BYTES = 512 << 20
"""A row group ends here at the latest: histories of 100 000 would make one of 25 GB."""
SHARD_ROWS = 100_000


class Shards:
    """Writes one part; `finish` or `abandon` it."""

    def __init__(
        self, directory: Path, part: str, *, group_rows: int = GROUP_ROWS, shard_rows: int = SHARD_ROWS
    ) -> None:
        """Begin. Raises `ExportError`: the part is there already."""
        self.path = directory / part
        if self.path.exists():
            message = f"{self.path} is there already; name another --out or --part, or remove it"
            raise ExportError(message)
        self._staging, self._part = directory / f".{part}.unfinished", part
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True)
        self._group_rows, self._shard_rows = group_rows, shard_rows
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = self._in_shard = self._shards = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Take samples; they are written by the row group."""
        self._waiting.append(table)
        self._rows += len(table)
        self._bytes += table.nbytes
        while self._rows >= self._group_rows or self._bytes >= GROUP_BYTES:
            self._write_group()

    def finish(self) -> Sequence[Path]:
        """Write the rest and let the part appear; the shards' paths."""
        if self._rows:
            self._write_group()
        self._close()
        self._staging.rename(self.path)
        return sorted(self.path.iterdir())

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._close()
        shutil.rmtree(self._staging, ignore_errors=True)

    def _write_group(self) -> None:
        table = pa.concat_tables(self._waiting)
        group, rest = table.slice(0, self._group_rows), table.slice(self._group_rows)
        self._waiting = [rest] if len(rest) else []
        self._rows, self._bytes = len(rest), rest.nbytes if len(rest) else 0
        if self._writer is None:
            name = f"{self._part}-shard-{self._shards:06d}.parquet"
            self._writer = pq.ParquetWriter(self._staging / name, group.schema, compression="zstd")
            self._shards += 1
        self._writer.write_table(group, row_group_size=self._group_rows)
        self._in_shard += len(group)
        if self._in_shard >= self._shard_rows:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._in_shard = None, 0
