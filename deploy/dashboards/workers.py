"""State, first and last: the processes themselves, and what they have to say."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, WARN, About, Query
from deploy.dashboards.panels import lines
from deploy.dashboards.promql import busiest, fullest, in_range, per_second, series, worst


def process() -> Iterator[Panel]:
    """CPU, memory, files, restarts, by worker."""
    yield lines(
        About(
            "CPU, by worker",
            "none",
            means="Cores that each worker uses. One is its interpreter: requests in and out; the others search and "
            "score.",
            do="At the number of cores it has: add workers or cores.",
            width=6,
        ),
        Query(busiest("process_cpu_seconds_total"), "{{instance}}"),
    )
    yield lines(
        About(
            "Memory, by worker",
            "bytes",
            means="Resident memory of each process; docs/architecture.md has the bounds that add up to it.",
            do="Above the sum of the bounds and growing: a leak; take the metrics of an hour and report it.",
            width=6,
        ),
        Query(worst("process_resident_memory_bytes", by="instance"), "{{instance}}"),
    )
    yield lines(
        About(
            "Open files, worst worker",
            "percentunit",
            means="Open file descriptors, of those that the process may have.",
            do="Above 80 %: raise the limit (LimitNOFILE); RocksDB needs one for each table file.",
            width=6,
            limits=((0.8, WARN),),
        ),
        Query(fullest("process_open_fds", "process_max_fds"), "worst"),
        top=1,
    )
    yield lines(
        About(
            "Up since, youngest worker",
            "s",
            means="How long the worker that was started last has run.",
            do="It falls to 0 again and again: a worker restarts in a loop; its supervisor and the end of its log say "
            "why.",
            width=6,
        ),
        Query(f"time() - max ({series('process_start_time_seconds')})", "youngest"),
    )


def voices() -> Iterator[Panel]:
    """Log lines, readings that failed."""
    yield lines(
        About(
            "Log lines per second, by level",
            "cps",
            means="Lines that workers wrote, from `warning` up.",
            do="Any `error` or `critical`: read it, it says what to do.",
            limits=((1, BAD),),
        ),
        Query(per_second("muse_log_lines_total", by="level"), "{{level}}"),
    )
    yield lines(
        About(
            "Log lines held back",
            "cps",
            means="Lines that were not written because the same one had just been written many times.",
            do="Something repeats fast: the last line of its kind says how often.",
        ),
        Query(per_second("muse_log_lines_held_back_total"), "held back"),
    )
    yield lines(
        About(
            "Readings that failed",
            "short",
            means="Readings that failed while Prometheus scraped; their metrics are then absent, and panels have gaps.",
            do="The log has the trace; a fault of ours.",
            limits=((1, BAD),),
        ),
        Query(in_range("muse_monitoring_scrape_errors_total", by="reader"), "{{reader}}"),
    )
