"""Every metric there is: name, kind, meaning, labels, buckets. `docs/metrics.md` is made from it.

Invariant: a metric that is not defined here is not exported. Names are `muse_<subsystem>_<what>_<unit>`, in base units
(seconds, bytes, ratio 0..1), counters end in `_total`, `_info` metrics are 1; no colons. Labels come from `LABELS` and
have closed value sets: no user, item or request id, no address, no text of an error. What a canary does is in its own
metrics and in those that count records of the log or time of a thread, in no other.
"""

from dataclasses import dataclass
from typing import Literal

from muse_stream.monitoring import buckets

LABELS = frozenset(
    {
        *("backend", "check", "digest", "kind", "outcome", "partition", "reader", "reason", "role", "slot", "space"),
        *("stage", "topic", "version", "what"),
    }
)
"""Label names that a metric may have; `partition` only on offsets, lag and the canary's silence, `digest` and `version`
only on `_info`."""

TOPICS = ("behaviours", "users", "items")
VERIFIED_TOPICS = (*TOPICS, "requests", "scores")
VERIFIED = ("window", "retrieval", "scores")
"""Parts of an answer: what was searched, what was found, what came of it."""
ROLES = ("serving", "standby")
INGEST_STAGES = ("decode", "store", "engine")
REQUEST_STAGES = ("decode", "queue", "state_read", "gsu", "features", "esu", "explain", "encode", "produce")
LEFT_OUT = ("features", "explanation")
"""What an answer may come without: it would be too large, or for an explanation too late."""
SHED_REASONS = ("queue_full", "predicted_late", "prefetch", "expired")
"""The first three on arrival; the last, and a prefetch's, when its turn came too late."""
OVERDUE_STAGES = ("arrival", "queue", "answer")
STOP_REASONS = ("position", "other_log", "store", "fault")
"""What the log does not have, a log that is not the store's, a directory that cannot be used, a fault of ours."""
STUCK_KINDS = ("assignment", "requests", "ingest")
"""No assignment, requests that nobody takes or answers, records that nobody reads."""
BACKENDS = ("reference", "cpu", "cuda", "array-cuda")
ELSEWHERE = ("no_room", "dropped", "left", "memory", "lost")
"""Why the CPU answers beside a GPU: a history larger than its budget, a user erased a moment ago, one who left before
the search began, no memory for the search, and a GPU that failed."""
MODEL_SLOTS = ("live", "shadow")
RELOAD_OUTCOMES = ("swapped", "refused", "unreachable", "superseded", "failed")
"""In service, not usable here, its location does not answer (tried again), another one wanted, a fault of ours."""
SHADOW_OUTCOMES = ("compared", "dropped", "unfit", "failed")
"""Scored and compared, left out under load, own vectors of another space than the shadow's, not scored."""
CANARY_MISSED_REASONS = ("not_taken", "no_answer", "not_ready", "overload", "expired", "absent", "error")
"""The brokers did not take it, nothing came back in time, then the answer's status; `absent`: computed without it."""
STORE_KINDS = ("behaviours", "memtable", "items")
OTHER = "other"
"""Label value for what its emitter did not announce; seen, it is a fault of the program, not of the data."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric family."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def subsystem(self) -> str:
        """Second word of the name."""
        return self.name.split("_")[1]


_all: list[Definition] = []


def _define(definition: Definition) -> Definition:
    _all.append(definition)
    return definition


def _counter(name: str, text: str, *labels: str) -> Definition:
    return _define(Definition(name, "counter", text, labels))


def _gauge(name: str, text: str, *labels: str) -> Definition:
    return _define(Definition(name, "gauge", text, labels))


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Definition:
    return _define(Definition(name, "histogram", text, labels, bounds))


BUILD_INFO = _gauge("muse_build_info", "1; the label says which version runs.", "version")

INGEST_CONSUMED = _counter(
    "muse_ingest_records_consumed_total",
    "Records read from the log, rejected ones included; standby copies are counted apart.",
    *("topic", "role"),
)
INGEST_APPLIED = _counter(
    "muse_ingest_rows_applied_total", "Behaviours, profiles or items written to a store.", "topic", "role"
)
INGEST_REJECTED = _counter(
    "muse_ingest_records_rejected_total",
    "Records that could not be used, by reason; each is kept as a dead letter.",
    "reason",
)
INGEST_DUPLICATES = _counter(
    "muse_ingest_duplicates_dropped_total", "Behaviours dropped because their event id was seen a moment ago."
)
INGEST_ERASED = _counter("muse_ingest_users_erased_total", "Erasures of a user (null value) that were applied.")
INGEST_LETTERS = _counter(
    "muse_ingest_dead_letters_total", "Dead letters that this worker produced and the broker acknowledged."
)
INGEST_BATCH = _histogram(
    "muse_ingest_batch_records",
    "Records per batch: large while catching up, small while requests are served.",
    buckets.COUNTS,
)
INGEST_APPLY = _histogram(
    "muse_ingest_apply_duration_seconds",
    "Time to decode a batch, write it to the store and tell the engine.",
    buckets.STAGE_SECONDS,
)
INGEST_STAGE = _counter("muse_ingest_stage_seconds_total", "Time spent by ingest, by stage of a batch.", "stage")
INGEST_REBALANCES = _counter("muse_ingest_rebalances_total", "How often the assignment of partitions changed.")
INGEST_ASSIGNED = _gauge("muse_ingest_partitions_assigned", "Partitions that this worker keeps a store of.", "role")
INGEST_READY = _gauge(
    "muse_ingest_partitions_ready", "Assigned partitions that have reached the log's end as it was at their assignment."
)
INGEST_FAILED = _gauge(
    "muse_ingest_partitions_failed",
    "Assigned partitions that stopped and wait for an operator; /health/ready says what to do.",
    "reason",
)
INGEST_HELD_RECORDS = _gauge(
    "muse_ingest_held_back_records",
    "Offsets behind the last stable one: an open transaction of some producer holds them back. Not part of the lag.",
    *("topic", "partition"),
)
INGEST_HELD_SECONDS = _gauge(
    "muse_ingest_held_back_seconds",
    "For how long the last stable offset has stood still below the end of the log; 0 while nothing is held back.",
    *("topic", "partition"),
)
INGEST_OFFSET = _gauge(
    "muse_ingest_consumer_offset", "Next offset that the store of a partition wants.", "topic", "partition"
)
INGEST_END = _gauge(
    "muse_ingest_consumer_high_watermark",
    "End of the log as far as committed records reach (last stable offset).",
    *("topic", "partition"),
)
INGEST_LAG_MESSAGES = _gauge(
    "muse_ingest_lag_messages", "Offsets between store and end of the log; markers count too.", "topic", "partition"
)
INGEST_LAG_SECONDS = _gauge(
    "muse_ingest_lag_seconds",
    "Upper bound of the age of the oldest unread record, computed when scraped: 0 while idle, growing while the "
    "consumer stands still or the end of the log cannot be learnt. Aggregate with max.",
    *("topic", "partition"),
)

FRESHNESS_EVENT = _histogram(
    "muse_freshness_event_visible_seconds",
    "From a behaviour's own time to the moment it can be retrieved: age of the data, late producers included.",
    buckets.FRESHNESS_SECONDS,
)
FRESHNESS_BROKER = _histogram(
    "muse_freshness_broker_visible_seconds",
    "From the broker's timestamp to the moment a behaviour can be retrieved: our part of the delay.",
    buckets.FRESHNESS_SECONDS,
)

CANARY_SENT = _counter(
    "muse_canary_sent_total",
    "Canaries: behaviours of a reserved user that the owner of a partition sends and reads back as a client would.",
)
CANARY_SEEN = _counter("muse_canary_seen_total", "Canaries that came back in an answer.")
CANARY_MISSED = _counter(
    "muse_canary_missed_total",
    "Canaries that did not come back, by reason: the brokers did not take them, no answer came, or what the answer "
    "said; absent means that it was computed and the behaviour was not in it.",
    "reason",
)
CANARY_FRESHNESS = _histogram(
    "muse_canary_freshness_seconds",
    "From the moment a canary was produced to the moment the broker had the answer that contains it: what a client "
    "sees of Kafka, ingest, search and answer together.",
    buckets.FRESHNESS_SECONDS,
)
CANARY_UNSEEN = _gauge(
    "muse_canary_unseen_seconds",
    "How long ago the last canary that came back was sent, or since when the partition is owned, computed when "
    "scraped: up to the interval while all is well, growing while nothing comes back. Aggregate with max.",
    "partition",
)

REQUESTS = _counter("muse_requests_total", "Requests answered, by outcome.", "outcome")
REQUEST_DURATION = _histogram(
    "muse_request_duration_seconds",
    "From the request's arrival in the worker to the acknowledged answer.",
    buckets.REQUEST_SECONDS,
)
REQUEST_STAGE = _histogram(
    "muse_request_stage_duration_seconds",
    "Time of a request by stage; the stages add up to the whole.",
    buckets.STAGE_SECONDS,
    "stage",
)
REQUEST_LEFT_OUT = _counter(
    "muse_request_left_out_total", "Answers that came without something that was asked for, by what is missing.", "kind"
)
REQUESTS_IN_FLIGHT = _gauge("muse_requests_in_flight", "Requests that have arrived and are not yet answered.")
REQUEST_QUEUE = _gauge("muse_request_queue_depth", "Requests that wait for their search; part of those in flight.")
REQUEST_BATCH = _histogram(
    "muse_request_batch_size", "Requests that shared one search and scoring pass.", buckets.COUNTS
)
REQUEST_PASS = _histogram(
    "muse_request_pass_duration_seconds",
    "Time of a pass, in its thread: reads, search, scores.",
    buckets.REQUEST_SECONDS,
)
REQUEST_PASS_PREDICTED = _counter(
    "muse_request_pass_predicted_seconds_total",
    "Time that passes were predicted to take; the sum of their durations says what became of it.",
)
REQUESTS_SHED = _counter(
    "muse_requests_shed_total",
    "Requests that were read and not computed because there was too much to do; a prefetch has its own reason.",
    "reason",
)
REQUESTS_OVERDUE = _counter(
    "muse_requests_deadline_exceeded_total",
    "Requests whose deadline passed: before they were read, while they waited, or in their pass, which still answers.",
    "stage",
)
REQUEST_CANDIDATES = _histogram("muse_request_candidates", "Candidates per request.", buckets.COUNTS)
REQUEST_HISTORY = _histogram(
    "muse_request_history_length", "Behaviours of the user at the moment of the request.", buckets.COUNTS
)

STORE_OPEN = _gauge("muse_store_partitions_open", "Behaviour stores that this worker has open.")
STORE_BYTES = _gauge(
    "muse_store_bytes", "Size of the stores: files of behaviours, what is not flushed yet, files of items.", "kind"
)
STORE_APPENDED = _counter("muse_store_behaviours_appended_total", "Behaviours appended to stores.")
STORE_WRITTEN = _counter(
    "muse_store_written_bytes_total", "Bytes of behaviours handed to the database, merged chunks a second time."
)
STORE_MERGES = _counter("muse_store_merges_total", "Chunks made of a user's small segments.")
STORE_COLD = _counter(
    "muse_store_cold_tails_total",
    "Appends to users whose open segments had to be read back first; many mean slow ingest.",
)
STORE_WINDOW = _gauge("muse_store_duplicate_window_ids", "Event ids remembered to drop duplicates.")
STALE_COPIES = _gauge("muse_store_stale_copies", "Copies on disk of partitions that this worker does not own any more.")
STALE_BYTES = _gauge("muse_store_stale_copy_bytes", "Size of those copies.")
STALE_DROPPED = _counter("muse_store_stale_copies_dropped_total", "Copies that were dropped because of their age.")
ITEMS_OFFSET = _gauge("muse_items_offset", "Position in the item log; it is the version of the vector table.")

SNAPSHOT_AGE = _gauge(
    "muse_snapshot_age_seconds",
    "Age of the latest snapshot of an owned partition, the oldest of them; where there is none, since its assignment.",
)
SNAPSHOT_OFFSET = _gauge(
    "muse_snapshot_offset", "Position of the latest snapshot of an owned partition, in the behaviours log.", "partition"
)
SNAPSHOT_WRITTEN = _counter("muse_snapshot_written_total", "Snapshots that this worker made.")
SNAPSHOT_FAILURES = _counter("muse_snapshot_failures_total", "Snapshots that failed; each is tried again.")
SNAPSHOT_SENT = _counter(
    "muse_snapshot_sent_bytes_total", "Bytes sent to the location; what an earlier snapshot has is not sent again."
)
SNAPSHOT_SECONDS = _counter("muse_snapshot_seconds_total", "Time spent on making snapshots, beside everything else.")

ENGINE_INFO = _gauge("muse_engine_info", "1; the label says which backend searches.", "backend")
TABLE_ROWS = _gauge("muse_engine_table_rows", "Items with a vector.", "space")
TABLE_BYTES = _gauge("muse_engine_table_bytes", "Bytes of the vector table.", "space")
TABLE_REFUSED = _counter("muse_engine_table_refused_total", "Vectors that found no room in the table.", "space")
INDEX_ITEMS = _gauge("muse_engine_index_items", "Items that have a slot, with or without a vector.")
INDEX_BYTES = _gauge("muse_engine_index_bytes", "Bytes of the item index.")
INDEX_REFUSED = _counter("muse_engine_index_refused_total", "Behaviours whose item found no slot: the index is full.")
POOL_USERS = _gauge("muse_engine_pool_users", "Users whose history is resident.")
POOL_BEHAVIOURS = _gauge("muse_engine_pool_behaviours", "Behaviours in resident histories.")
POOL_BYTES = _gauge("muse_engine_pool_bytes", "Bytes of resident histories.")
POOL_BUDGET = _gauge("muse_engine_pool_budget_bytes", "Most bytes that resident histories may take.")
POOL_EVICTIONS = _counter("muse_engine_pool_evictions_total", "Users that left the pool for room.")
POOL_HITS = _counter("muse_engine_pool_hits_total", "Histories that were resident when a search needed them.")
POOL_MISSES = _counter("muse_engine_pool_misses_total", "Histories that had to be loaded from the store first.")
PACKED_USERS = _gauge("muse_engine_packed_users", "Hot users, whose rows lie packed for the search.")
PACKED_BYTES = _gauge("muse_engine_packed_bytes", "Bytes of packed rows.")
PACKED_BUDGET = _gauge("muse_engine_packed_budget_bytes", "Most bytes that packed rows may take.")
PACKED_EVICTIONS = _counter("muse_engine_packed_evictions_total", "Users whose packed rows left for room.")
PACKED_HITS = _counter("muse_engine_packed_hits_total", "Histories searched in packed rows.")
PACKED_MISSES = _counter("muse_engine_packed_misses_total", "Histories whose rows were gathered for the search.")
STANDING_ANSWERS = _gauge(
    "muse_engine_standing_candidates", "Candidates whose answer stands: the next one looks at new rows only."
)
STANDING_SERVED = _counter("muse_engine_standing_served_total", "Candidates answered by a standing answer.")
STANDING_ROWS = _counter(
    "muse_engine_standing_rows_scored_total", "New rows scored to bring standing answers up to date."
)
STANDING_REFILLS = _counter("muse_engine_standing_refills_total", "Standing answers that had to be searched for again.")
SEARCHES = _counter("muse_engine_searches_total", "Search calls; one may serve several requests.")
SEARCH_CANDIDATES = _counter("muse_engine_search_candidates_total", "Candidates searched for.")
SEARCH_SECONDS = _counter("muse_engine_search_seconds_total", "Time inside the search backend.")
LOAD_SECONDS = _counter("muse_engine_load_seconds_total", "Time spent on loading histories into the pool.")

GPU_LOST = _counter(
    "muse_gpu_lost_total", "GPUs that failed; the CPU answers since then, until the worker is started again."
)
GPU_SEARCHES = _counter("muse_gpu_searches_total", "Search calls that a GPU took part in.")
GPU_ANSWERED = _counter("muse_gpu_pairs_answered_total", "Users with their candidates that a GPU answered.")
GPU_ELSEWHERE = _counter(
    "muse_gpu_pairs_elsewhere_total", "Users with their candidates that the CPU answered beside a GPU.", "reason"
)
GPU_WAIT = _counter("muse_gpu_wait_seconds_total", "Time that searches waited for a GPU.")
GPU_USERS = _gauge("muse_gpu_pool_users", "Users whose history is on a GPU.")
GPU_BEHAVIOURS = _gauge("muse_gpu_pool_behaviours", "Behaviours in histories on a GPU.")
GPU_BYTES = _gauge("muse_gpu_pool_bytes", "GPU memory that histories use.")
GPU_BUDGET = _gauge("muse_gpu_pool_budget_bytes", "GPU memory that is set aside for histories.")
GPU_EVICTIONS = _counter("muse_gpu_pool_evictions_total", "Users that left a GPU for room.")
GPU_TABLE = _gauge("muse_gpu_table_bytes", "GPU memory that vectors take.")

MODEL_INFO = _gauge("muse_model_info", "1; the labels say which model a slot runs.", "slot", "version", "digest")
MODEL_LOADED = _gauge("muse_model_loaded_timestamp_seconds", "When the slot's model was loaded, as Unix time.", "slot")
MODEL_RELOADS = _counter(
    "muse_model_reload_total", "Attempts to bring a model into service, by how they ended.", "slot", "outcome"
)
MODEL_RELOAD_DURATION = _histogram(
    "muse_model_reload_duration_seconds",
    "From the start of an attempt to its end: fetched, checked, filled, warmed, swapped.",
    buckets.RELOAD_SECONDS,
)
SPACE_COVERAGE = _gauge(
    "muse_model_space_coverage_ratio",
    "Share of the items with a vector in the space that is served that have one in this space.",
    "space",
)
MODEL_SCORE = _histogram("muse_model_score_ratio", "Click probabilities as answered.", buckets.PROBABILITY)
MODEL_NONFINITE = _counter("muse_model_scores_nonfinite_total", "Scores that were no number; must stay 0.")
RETRIEVAL_COSINE = _histogram(
    "muse_retrieval_similarity_ratio", "Best cosine per candidate: drift of the retrieval itself.", buckets.COSINE
)
RETRIEVAL_FOUND = _histogram(
    "muse_retrieval_found_behaviours",
    "Behaviours retrieved per candidate; below k where history or vectors lack.",
    buckets.COUNTS,
)

SHADOW_REQUESTS = _counter(
    "muse_shadow_requests_total", "Requests of the shadow's share, by what became of them there.", "outcome"
)
SHADOW_DIFFERENCE = _histogram(
    "muse_shadow_score_difference_ratio",
    "Absolute difference between the shadow's click probability and the answer's, per candidate.",
    buckets.DIFFERENCE,
)
SHADOW_RANK = _histogram(
    "muse_shadow_rank_difference_ratio",
    "How far the shadow moves a candidate in its request's ranking, on average, as a share of the list: 0 is the same "
    "order, 1/3 is unrelated, 1/2 is reversed. Requests of one candidate count as 0.",
    buckets.RANK_SHIFT,
)

HEALTH_CHECK = _gauge("muse_health_check_ok", "1 while the check passes, 0 while it fails.", "check")
HEALTH_READY = _gauge("muse_health_ready", "1 while /health/ready says yes.")
STUCK = _gauge(
    "muse_watchdog_stuck_partitions",
    "Partitions where work has waited too long without any progress while the brokers answer.",
    "reason",
)
SCRAPE_ERRORS = _counter(
    "muse_monitoring_scrape_errors_total",
    "Readings that failed during a scrape; their metrics are then absent.",
    "reader",
)

CATALOGUE: tuple[Definition, ...] = tuple(_all)
"""What a worker exports."""

VERIFY_COMPARED = _counter("muse_verify_compared_total", "Served answers of which this part was compared.", "what")
VERIFY_MISMATCHED = _counter(
    "muse_verify_mismatched_total", "Served answers of which this part is not what the logs say; must stay 0.", "what"
)
VERIFY_NEAR_STEP = _counter(
    "muse_verify_near_step_total", "Scores that differ where the network itself is at a step; no mismatches."
)
VERIFY_LEFT_OUT = _counter(
    "muse_verify_not_rebuildable_total", "Served answers that could not be computed again.", "reason"
)
VERIFY_MODEL = _counter(
    "muse_verify_model_not_here_total", "Served answers whose scores were not compared, as their model is not here."
)
VERIFY_WAITING = _gauge("muse_verify_waiting_answers", "Served answers that wait for the logs or for their turn.")
VERIFY_OLDEST = _gauge("muse_verify_oldest_waiting_seconds", "For how long the first of them has waited.")
VERIFY_LAG = _gauge("muse_verify_lag_messages", "Offsets of a topic that the verification has not read yet.", "topic")

VERIFICATION: tuple[Definition, ...] = tuple(_all[len(CATALOGUE) :])
"""What `muse-stream verify-served --follow` exports."""
