"""From layout behaviours/1 to behaviours/2, in place: every row gets the arrival that version 1 did not keep.

Invariant: killed at any point, the next opening goes on where this one was; each row is converted once.

A row of version 1 is the first 25 bytes of one of version 2. When it arrived is not known, so it counts as arrived when
the store was where it is now: its time to live begins with the migration. The meta keeps that offset (`undated`).

The label says `behaviours/1-to-2` meanwhile, which neither version takes for its own. Each batch converts a range of
keys, under which the rows lie as before, and moves the marker:

    migrated    the last key that was converted

The last batch writes the new label and rules, and takes the marker away.
"""

import json
import logging
import time
from collections.abc import Callable

import numpy as np
from rocksdict import WriteBatch

from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.database import LAYOUT_KEY, Database
from muse_stream.state.keys import BEHAVIOURS, BEHAVIOURS_END, META
from muse_stream.state.meta import LAYOUT, OLDER_LAYOUTS, RULES_KEY, Progress, put_undated
from muse_stream.state.rules import whole_seconds

log = logging.getLogger(__name__)

FIRST, HALFWAY = (name.encode() for name in OLDER_LAYOUTS)
MARKER_KEY = META + b"migrated"
UNDATED = np.dtype([(name, BEHAVIOUR[name]) for name in ("item", "time_ms", "action", "category")])
BATCH_BYTES = 8 << 20
"""Rows converted between two writes: a tenth of a second's work, a quarter of a memtable."""
SILENT_SECONDS = 2.0
"""Until then nobody asks what takes so long; also the time between two lines of progress."""


def migrate(database: Database, beat: Callable[[], None] = lambda: None) -> None:
    """Bring a store that was just opened to this layout; nothing to do in most.

    `beat` is called at each step of what may take minutes.

    Raises:
        StoreWriteError: RocksDB refused; the next opening goes on.

    """
    with database.cursor() as cursor:
        label, progress = cursor.get(LAYOUT_KEY), Progress.read(cursor)
    if label == LAYOUT.encode():
        return
    arrived_seconds = whole_seconds(progress.watermark_ms)
    told = _Progress(database)
    done = False
    while not done:
        out = WriteBatch(raw_mode=True)
        segments = _convert(database, arrived_seconds, out)
        done = segments == 0
        if done:
            _finish(database, progress.position, out)
        database.write(out)
        told.add(segments, done=done)
        beat()


def _convert(database: Database, arrived_seconds: int, out: WriteBatch) -> int:
    """Put the next segments and the marker into `out`; how many."""
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    with database.cursor() as cursor:
        marker = cursor.get(MARKER_KEY)
        for key, value in cursor.walk(marker + b"\x00" if marker else BEHAVIOURS, BEHAVIOURS_END):
            keys.append(key)
            values.append(value)
            size += len(value)
            if size >= BATCH_BYTES:
                break
    if not keys:
        return 0
    packed = dated(b"".join(values), arrived_seconds)
    at = 0
    for key, value in zip(keys, values, strict=True):
        stop = at + len(value) // UNDATED.itemsize * BEHAVIOUR.itemsize
        out.put(key, packed[at:stop])
        at = stop
    out.put(MARKER_KEY, keys[-1])
    out.put(LAYOUT_KEY, HALFWAY)
    return len(keys)


def dated(rows: bytes, arrived_seconds: int) -> bytes:
    """Rows of version 1 as rows of version 2."""
    found = np.frombuffer(rows, UNDATED)
    packed = np.empty(len(found), BEHAVIOUR)
    for name in UNDATED.names or ():
        packed[name] = found[name]
    packed["arrived_seconds"] = arrived_seconds
    return packed.tobytes()


def _finish(database: Database, position: int, out: WriteBatch) -> None:
    with database.cursor() as cursor:
        rules = cursor.get(RULES_KEY)
    if rules:
        entries = [
            {("ttl_seconds" if name == "ttl_ms" else name): entry[name] for name in entry}
            for entry in json.loads(rules)
        ]
        out.put(RULES_KEY, json.dumps(entries).encode())
    put_undated(out, position)
    out.put(LAYOUT_KEY, LAYOUT.encode())
    out.delete(MARKER_KEY)


class _Progress:
    """Lines of progress for what takes long."""

    def __init__(self, database: Database) -> None:
        self._path = database.path
        self._expected = database.number("estimate-num-keys")
        self._done, self._began = 0, time.monotonic()
        self._told = self._began

    def add(self, segments: int, *, done: bool) -> None:
        """So many more; say so at times."""
        self._done += segments
        now = time.monotonic()
        if now - self._told < SILENT_SECONDS and not (done and self._told > self._began):
            return
        self._told = now
        rate = self._done / (now - self._began)
        left = max(self._expected - self._done, 0) / rate
        state = "done" if done else f"about {left:.0f} s left"
        log.info("%s: converting to layout %s: %d segments, %.0f/s, %s", self._path, LAYOUT, self._done, rate, state)
