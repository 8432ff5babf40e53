"""First steps that several panels share."""

LAG_FIRST = (
    "One partition behind: look at its worker's /health/ready. All partitions of a worker: that worker's disk or CPU "
    "(State & GPU). All workers: the broker, or more is written than read: compare on Ingest & freshness."
)
SLOW_FIRST = (
    "See which stage grew on Serving. `queue`: too much load, add workers. `accept`, `return`: the event loop is busy. "
    "`catch_up`: partitions are restored. `state_read`: disk, or histories that are not resident. `gsu`, `esu`: more "
    "candidates or longer histories. `produce`: the broker."
)
REFUSED_FIRST = (
    "Read the dead-letter topic: each letter has reason, detail and the record. Then find the producer that changed at "
    "this time."
)
