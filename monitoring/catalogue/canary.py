"""The canary: a behaviour of our own per partition every few seconds, read back as a client would."""

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue.definition import counter, gauge, histogram

CANARY_SENT = counter(
    "muse_canary_sent_total",
    "Canaries: behaviours of a reserved user that the owner of a partition sends and reads back as a client would.",
)
CANARY_SEEN = counter("muse_canary_seen_total", "Canaries that came back in an answer.")
CANARY_MISSED = counter(
    "muse_canary_missed_total",
    "Canaries that did not come back, by reason: the brokers did not take them, no answer came, or what the answer "
    "said; absent means that it was computed and the behaviour was not in it.",
    "reason",
)
CANARY_FRESHNESS = histogram(
    "muse_canary_freshness_seconds",
    "From the moment a canary was produced to the moment the broker had the answer that contains it: what a client "
    "sees of Kafka, ingest, search and answer together.",
    buckets.FRESHNESS_SECONDS,
)
CANARY_UNSEEN = gauge(
    "muse_canary_unseen_seconds",
    "How long ago the last canary that came back was sent, or since when the partition is owned, computed when "
    "scraped: up to the interval while all is well, growing while nothing comes back. Aggregate with max.",
    "partition",
)
