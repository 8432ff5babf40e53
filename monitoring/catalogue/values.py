"""Names of labels, and the closed sets of values that they have."""

LABELS = frozenset(
    {
        *("backend", "check", "commit", "cuda", "digest", "kind", "level", "outcome", "partition", "reader", "reason"),
        *("role", "slot", "space", "stage", "topic", "torch", "version", "what"),
    }
)
"""Label names that a metric may have; `partition` on offsets, lag and canaries, digest and version on `_info` only."""

TOPICS = ("behaviours", "users", "items")
VERIFIED_TOPICS = (*TOPICS, "requests", "scores")
VERIFIED = ("window", "retrieval", "scores")
"""Parts of an answer: what was searched, what was found, what came of it."""
ROLES = ("serving", "standby")
INGEST_STAGES = ("decode", "store", "engine")
REQUEST_STAGES = (
    *("accept", "decode", "catch_up", "queue", "state_read", "gsu", "features", "esu", "explain", "encode"),
    *("return", "produce"),
)
"""In their order; `accept` and `return` are waits for the event loop, `encode` includes others of the same pass."""
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
RESTORE_OUTCOMES = ("restored", "none_fits", "failed")
"""In its place; no snapshot that the log continues; trouble with the location, the disk, or every snapshot there is."""
CANARY_MISSED_REASONS = ("not_taken", "no_answer", "not_ready", "overload", "expired", "absent", "error")
"""The brokers did not take it, nothing came back in time, then the answer's status; `absent`: computed without it."""
STORE_KINDS = ("behaviours", "memtable", "items")
OTHER = "other"
"""Label value for what its emitter did not announce; seen, it is a fault of the program, not of the data."""
