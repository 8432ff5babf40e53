"""Stores on disk, their snapshots and restores."""

from muse_stream.monitoring.catalogue.definition import counter, gauge

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
