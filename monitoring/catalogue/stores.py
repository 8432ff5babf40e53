"""Stores on disk, their snapshots and restores."""

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue.definition import counter, gauge, histogram

STORE_OPEN = gauge("muse_store_partitions_open", "Behaviour stores that this worker has open.")
STORE_BYTES = gauge(
    "muse_store_bytes", "Size of the stores: files of behaviours, what is not flushed yet, files of items.", "kind"
)
STORE_APPENDED = counter("muse_store_behaviours_appended_total", "Behaviours appended to stores.")
STORE_WRITTEN = counter(
    "muse_store_written_bytes_total", "Bytes of behaviours handed to the database, merged chunks a second time."
)
STORE_MERGES = counter("muse_store_merges_total", "Chunks made of a user's small segments.")
STORE_COLD = counter(
    "muse_store_cold_tails_total",
    "Appends to users whose open segments had to be read back first; many mean slow ingest.",
)
STORE_WINDOW = gauge("muse_store_duplicate_window_ids", "Event ids remembered to drop duplicates.")
STORE_TRUNCATED = counter(
    "muse_store_truncated_behaviours_total",
    "Behaviours that left their user's history because it is longer than the cap.",
)
STORE_WRITE_SECONDS = counter(
    "muse_store_write_seconds_total", "Time of the database's writes; nothing else in the worker runs meanwhile."
)
STORE_STALL = counter(
    "muse_store_write_stall_seconds_total",
    "Time of writes beyond 0.25 s each: the database is behind with flushing or merging, or the disk is slow. Nothing "
    "else in the worker runs meanwhile.",
)
STORE_DELAYED = gauge(
    "muse_store_write_delayed", "Stores whose writes the database slows down or has stopped, to catch up with merging."
)
STORE_PENDING = gauge("muse_store_pending_compaction_bytes", "What the database estimates that it has still to merge.")
STORE_ERRORS = counter(
    "muse_store_background_errors_total", "Flushes and merges that failed; the database refuses writes after one."
)
STORE_CACHE = gauge("muse_store_block_cache_bytes", "Blocks of all stores that are kept in memory for reads.")
DISK_FREE = gauge(
    "muse_store_disk_free_bytes", "Free space where state.directory is, as far as this worker may use it."
)
DISK_SIZE = gauge("muse_store_disk_size_bytes", "Size of the file system that state.directory is on.")
RESTORES = counter(
    "muse_store_restores_total",
    "Attempts to restore a partition's store from a snapshot, by how they ended.",
    "outcome",
)
RESTORE_DURATION = histogram(
    "muse_store_restore_duration_seconds",
    "Time of such an attempt: waited for its turn, fetched, checked, put in place.",
    buckets.RELOAD_SECONDS,
)
STALE_COPIES = gauge("muse_store_stale_copies", "Copies on disk of partitions that this worker does not own any more.")
STALE_BYTES = gauge("muse_store_stale_copy_bytes", "Size of those copies.")
STALE_DROPPED = counter("muse_store_stale_copies_dropped_total", "Copies that were dropped because of their age.")
ITEMS_OFFSET = gauge("muse_items_offset", "Position in the item log; it is the version of the vector table.")

SNAPSHOT_AGE = gauge(
    "muse_snapshot_age_seconds",
    "Age of the latest snapshot of an owned partition, the oldest of them; where there is none, since its assignment.",
)
SNAPSHOT_OFFSET = gauge(
    "muse_snapshot_offset", "Position of the latest snapshot of an owned partition, in the behaviours log.", "partition"
)
SNAPSHOT_WRITTEN = counter("muse_snapshot_written_total", "Snapshots that this worker made.")
SNAPSHOT_FAILURES = counter("muse_snapshot_failures_total", "Snapshots that failed; each is tried again.")
SNAPSHOT_SENT = counter(
    "muse_snapshot_sent_bytes_total", "Bytes sent to the location; what an earlier snapshot has is not sent again."
)
SNAPSHOT_SECONDS = counter("muse_snapshot_seconds_total", "Time spent on making snapshots, beside everything else.")
