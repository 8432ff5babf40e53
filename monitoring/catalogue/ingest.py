"""What is read from the logs, and how fresh it is."""

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue.definition import counter, gauge, histogram

INGEST_CONSUMED = counter(
    "muse_ingest_records_consumed_total",
    "Records read from the log, rejected ones included; standby copies are counted apart.",
    *("topic", "role"),
)
INGEST_APPLIED = counter(
    "muse_ingest_rows_applied_total", "Behaviours, profiles or items written to a store.", "topic", "role"
)
INGEST_REJECTED = counter(
    "muse_ingest_records_rejected_total",
    "Records that could not be used, by reason; each is kept as a dead letter.",
    "reason",
)
INGEST_DUPLICATES = counter(
    "muse_ingest_duplicates_dropped_total", "Behaviours dropped because their event id was seen a moment ago."
)
INGEST_ERASED = counter("muse_ingest_users_erased_total", "Erasures of a user (null value) that were applied.")
INGEST_LETTERS = counter(
    "muse_ingest_dead_letters_total", "Dead letters that this worker produced and the broker acknowledged."
)
INGEST_BATCH = histogram(
    "muse_ingest_batch_records",
    "Records per batch: large while catching up, small while requests are served.",
    buckets.COUNTS,
)
INGEST_APPLY = histogram(
    "muse_ingest_apply_duration_seconds",
    "Time to decode a batch, write it to the store and tell the engine.",
    buckets.STAGE_SECONDS,
)
INGEST_STAGE = counter("muse_ingest_stage_seconds_total", "Time spent by ingest, by stage of a batch.", "stage")
INGEST_COMMIT = histogram(
    "muse_ingest_commit_duration_seconds",
    "Time that the ingest thread spends on handing positions over to Kafka, about once a second; it does not wait for "
    "the acknowledgement, so long ones are connections that cannot be had.",
    buckets.CALL_SECONDS,
)
INGEST_REBALANCES = counter("muse_ingest_rebalances_total", "How often the assignment of partitions changed.")
INGEST_REBALANCE = histogram(
    "muse_ingest_rebalance_duration_seconds",
    "From the moment that partitions are taken away or given until all that were given are ready or have stopped; "
    "requests wait meanwhile.",
    buckets.REBALANCE_SECONDS,
)
INGEST_ASSIGNED = gauge("muse_ingest_partitions_assigned", "Partitions that this worker keeps a store of.", "role")
INGEST_READY = gauge(
    "muse_ingest_partitions_ready", "Assigned partitions that have reached the log's end as it was at their assignment."
)
INGEST_REPLAYED = gauge(
    "muse_ingest_replay_progress_ratio",
    "Share that is read of what a log had unread at the assignment, of the partition that is furthest behind; 1 is "
    "caught up. Partitions that have stopped are left out. Aggregate with min.",
)
INGEST_WAITING = gauge(
    "muse_ingest_partitions_waiting",
    "Assigned partitions whose reading waits until the broker acknowledges dead letters.",
)
INGEST_BROKER = gauge(
    "muse_ingest_broker_ok", "1 while the brokers answer what ingest asks, 0 since they do not; it goes on asking."
)
INGEST_FAILED = gauge(
    "muse_ingest_partitions_failed",
    "Assigned partitions that stopped and wait for an operator; /health/ready says what to do.",
    "reason",
)
INGEST_HELD_RECORDS = gauge(
    "muse_ingest_held_back_records",
    "Offsets behind the last stable one: an open transaction of some producer holds them back. Not part of the lag.",
    *("topic", "partition"),
)
INGEST_HELD_SECONDS = gauge(
    "muse_ingest_held_back_seconds",
    "For how long the last stable offset has stood still below the end of the log; 0 while nothing is held back.",
    *("topic", "partition"),
)
INGEST_OFFSET = gauge(
    "muse_ingest_consumer_offset", "Next offset that the store of a partition wants.", "topic", "partition"
)
INGEST_END = gauge(
    "muse_ingest_consumer_high_watermark",
    "End of the log as far as committed records reach (last stable offset).",
    *("topic", "partition"),
)
INGEST_LAG_MESSAGES = gauge(
    "muse_ingest_lag_messages", "Offsets between store and end of the log; markers count too.", "topic", "partition"
)
INGEST_LAG_SECONDS = gauge(
    "muse_ingest_lag_seconds",
    "Upper bound of the age of the oldest unread record, computed when scraped: 0 while idle, growing while the "
    "consumer stands still or the end of the log cannot be learnt. Aggregate with max.",
    *("topic", "partition"),
)

FRESHNESS_EVENT = histogram(
    "muse_freshness_event_visible_seconds",
    "From a behaviour's own time to the moment it can be retrieved: age of the data, late producers included.",
    buckets.FRESHNESS_SECONDS,
)
FRESHNESS_BROKER = histogram(
    "muse_freshness_broker_visible_seconds",
    "From the broker's timestamp to the moment a behaviour can be retrieved: our part of the delay.",
    buckets.FRESHNESS_SECONDS,
)
