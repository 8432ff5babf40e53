"""State & GPU: use, saturation and errors of what runs out: disk, memory, caches, search, GPU."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.board import Board, Row
from deploy.dashboards.common import BAD, WARN, About, Query
from deploy.dashboards.engine import histories, search
from deploy.dashboards.gpu import gpu
from deploy.dashboards.panels import lines
from deploy.dashboards.promql import busiest, emptiest, in_range, per_second, share, total, worst
from deploy.dashboards.snapshots import copies
from deploy.dashboards.workers import process, voices

APPENDED = per_second("muse_store_behaviours_appended_total")


def board() -> Board:
    """Make the board."""
    answers = "What is full, slow or failing: disk, memory, caches, search, GPU, snapshots?"
    rows = [
        Row("Process", list(process())),
        Row("Disk and stores", list(_disk())),
        Row("Writing", list(_writing())),
        Row("Snapshots and copies", list(copies())),
        Row("Histories in memory", list(histories())),
        Row("Search", list(search())),
        Row("GPU", list(gpu())),
        Row("Log and monitoring", list(voices())),
    ]
    return Board("state", "muse-stream / State & GPU", answers, rows)


def _disk() -> Iterator[Panel]:
    yield lines(
        About(
            "Disk used, fullest worker",
            "percentunit",
            means="Share of the file system of state.directory that is used, by whoever uses it.",
            do="Above 85 %: make room now. Stale copies can go (below), the cap or time to live can be lowered, the "
            "volume can grow. A full disk stops partitions: docs/disk-trouble.md.",
            limits=((0.85, WARN), (0.95, BAD)),
        ),
        Query(f"1 - {emptiest('muse_store_disk_free_bytes', 'muse_store_disk_size_bytes')}", "fullest"),
        top=1,
    )
    yield lines(
        About(
            "Stores",
            "bytes",
            means="Size of all stores: files of behaviours, what is not flushed yet, files of items.",
            do="Growth follows what is written until the cap and the time to live hold it. A jump: compaction is "
            "behind, see the next row.",
        ),
        Query(total("muse_store_bytes", by="kind"), "{{kind}}"),
        stacked=True,
    )
    yield lines(
        About(
            "Stores open, ids remembered",
            "short",
            means="Behaviour stores that are open, of all workers, and event ids that are remembered to drop repeats.",
            do="Fewer stores than partitions: some have no owner, see Ingest & freshness.",
        ),
        Query(total("muse_store_partitions_open"), "stores"),
        Query(total("muse_store_duplicate_window_ids"), "event ids"),
        log=True,
    )


def _writing() -> Iterator[Panel]:
    yield from _write_times()
    yield from _write_load()


def _write_times() -> Iterator[Panel]:
    """Whether writes are held up."""
    yield lines(
        About(
            "Time in writes, busiest worker",
            "percentunit",
            means="Share of its time that the busiest worker spends in the database's writes, and of that what single "
            "writes took beyond 0.25 s each. Nothing else in the worker runs meanwhile, so answers wait.",
            do="Stalls: the disk cannot keep up with what is written. Look for a neighbour on the disk; take a faster "
            "one, or fewer partitions on this machine.",
            limits=((1 / 300, BAD),),
            width=6,
        ),
        Query(busiest("muse_store_write_seconds_total", by=""), "writes"),
        Query(busiest("muse_store_write_stall_seconds_total", by=""), "stalls"),
    )
    yield lines(
        About(
            "Stores slowed down, errors",
            "none",
            means="Stores whose writes the database slows down or has stopped, because merging is behind; and flushes "
            "and merges that failed in the time shown, after which it refuses writes.",
            do="Slowed down: as beside. Errors: the disk is full, read-only or damaged: docs/disk-trouble.md.",
            limits=((1, BAD),),
            width=6,
        ),
        Query(total("muse_store_write_delayed"), "slowed down or stopped"),
        Query(in_range("muse_store_background_errors_total"), "errors in the time shown"),
    )
    yield lines(
        About(
            "Waiting to be merged",
            "bytes",
            means="What the database estimates that it has still to merge, of the worker with the most.",
            do="Growing for hours: writes will be delayed, then stopped. As above.",
            width=6,
        ),
        Query(worst("muse_store_pending_compaction_bytes"), "most"),
    )


def _write_load() -> Iterator[Panel]:
    """What is written."""
    yield lines(
        About(
            "Bytes written per behaviour",
            "bytes",
            means="Bytes handed to the database for each behaviour, merged chunks a second time; 29 are the behaviour.",
            do="A jump: users' tails are cold, see beside.",
            width=6,
        ),
        Query(share(per_second("muse_store_written_bytes_total"), APPENDED), "per behaviour"),
    )
    yield lines(
        About(
            "Behaviours appended, chunks merged",
            "cps",
            means="Behaviours appended to stores per second, and chunks made of a user's small segments.",
            do="Nothing by itself; it is the load behind this row.",
        ),
        Query(APPENDED, "appended"),
        Query(per_second("muse_store_merges_total"), "merged"),
    )
    yield lines(
        About(
            "Cold tails, share of appends",
            "percentunit",
            means="Appends to users whose open segments had to be read back from disk first.",
            do="Near 100 %: more users act than tails are remembered for, and ingest reads the disk for each. Spread "
            "partitions over more workers.",
        ),
        Query(share(per_second("muse_store_cold_tails_total"), APPENDED), "cold"),
    )
    yield lines(
        About(
            "Behaviours cut per second",
            "cps",
            means="Behaviours that the cap or the time to live took off the head of users' histories.",
            do="Nothing: it is what keeps histories bounded. Suddenly much more: a robot, or a lowered cap.",
        ),
        Query(per_second("muse_store_truncated_behaviours_total"), "cut"),
    )
