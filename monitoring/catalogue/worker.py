"""The worker itself: build, health, watchdog, and monitoring's own troubles."""

from muse_stream.monitoring.catalogue.definition import counter, gauge

BUILD_INFO = gauge(
    "muse_build_info",
    "1; the labels say what runs: version and commit of the program, Torch, and the CUDA that Torch was built for. "
    "What is not known is empty.",
    *("version", "commit", "torch", "cuda"),
)
HEALTH_CHECK = gauge("muse_health_check_ok", "1 while the check passes, 0 while it fails.", "check")
HEALTH_READY = gauge("muse_health_ready", "1 while /health/ready says yes.")
STUCK = gauge(
    "muse_watchdog_stuck_partitions",
    "Partitions where work has waited too long without any progress while the brokers answer.",
    "reason",
)
SCRAPE_ERRORS = counter(
    "muse_monitoring_scrape_errors_total",
    "Readings that failed during a scrape; their metrics are then absent.",
    "reader",
)
LOG_LINES = counter("muse_log_lines_total", "Log lines of warning and above, those held back among them.", "level")
LOG_HELD_BACK = counter(
    "muse_log_lines_held_back_total", "Log lines not written: a line of code that repeats itself is heard now and then."
)
