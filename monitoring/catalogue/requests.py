"""Requests: rate, outcome, time by stage, queue and passes."""

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue.definition import counter, gauge, histogram

REQUESTS = counter("muse_requests_total", "Requests answered, by outcome.", "outcome")
REQUEST_DURATION = histogram(
    "muse_request_duration_seconds",
    "From the request's arrival in the worker to the acknowledged answer.",
    buckets.REQUEST_SECONDS,
)
REQUEST_STAGE = histogram(
    "muse_request_stage_duration_seconds",
    "Time of a request by stage; the stages add up to the whole.",
    buckets.STAGE_SECONDS,
    "stage",
)
REQUEST_LEFT_OUT = counter(
    "muse_request_left_out_total", "Answers that came without something that was asked for, by what is missing.", "kind"
)
REQUESTS_STALE = counter(
    "muse_requests_stale_total", "Answers given from a copy that was not up to date; each says how late it was."
)
REQUESTS_IN_FLIGHT = gauge("muse_requests_in_flight", "Requests that have arrived and are not yet answered.")
REQUEST_QUEUE = gauge("muse_request_queue_depth", "Requests that wait for their search; part of those in flight.")
REQUEST_BATCH = histogram(
    "muse_request_batch_size", "Requests that shared one search and scoring pass.", buckets.COUNTS
)
REQUEST_PASS = histogram(
    "muse_request_pass_duration_seconds",
    "Time of a pass, in its thread: reads, search, scores.",
    buckets.REQUEST_SECONDS,
)
REQUEST_PASS_PREDICTED = counter(
    "muse_request_pass_predicted_seconds_total",
    "Time that passes were predicted to take; the sum of their durations says what became of it.",
)
REQUEST_SATURATION = gauge(
    "muse_request_saturation_ratio",
    "Share of the last 10 s in which a pass was under way: at 1 the worker has no more to give. For autoscaling.",
)
REQUESTS_SHED = counter(
    "muse_requests_shed_total",
    "Requests that were read and not computed because there was too much to do; a prefetch has its own reason.",
    "reason",
)
REQUESTS_OVERDUE = counter(
    "muse_requests_deadline_exceeded_total",
    "Requests whose deadline passed: before they were read, while they waited, or in their pass, which still answers.",
    "stage",
)
REQUEST_CANDIDATES = histogram("muse_request_candidates", "Candidates per request.", buckets.COUNTS)
REQUEST_HISTORY = histogram(
    "muse_request_history_length", "Behaviours of the user at the moment of the request.", buckets.COUNTS
)
