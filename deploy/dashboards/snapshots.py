"""State, in the middle: snapshots, restores, copies of partitions that left."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, WARN, About, Query
from deploy.dashboards.panels import bars, lines
from deploy.dashboards.promql import busiest, in_range, per_second, quantile, total, worst

DAY_SECONDS = 86_400
BEHAVIOURS = 'topic="behaviours"'


def copies() -> Iterator[Panel]:
    """Snapshots, restores and stale copies."""
    yield from _snapshots()
    yield from _cost()
    yield from _restores()


def _snapshots() -> Iterator[Panel]:
    """How old they are, and whether they are made."""
    yield lines(
        About(
            "Age of the oldest snapshot",
            "s",
            means="Of the partition whose latest snapshot is oldest. What came after it is replayed when a new "
            "machine starts. No curve without snapshots.location.",
            do="Older than twice snapshots.interval_hours: see failures beside and the worker's log. The log must be "
            "kept for longer than this.",
            limits=((DAY_SECONDS, WARN), (3 * DAY_SECONDS, BAD)),
        ),
        Query(worst("muse_snapshot_age_seconds"), "oldest"),
    )
    yield bars(
        About(
            "Snapshots, made and failed",
            "short",
            means="Of the time shown.",
            do="Failures: the log has the location's answer; each is tried again.",
            width=4,
        ),
        Query(in_range("muse_snapshot_written_total"), "made"),
        Query(in_range("muse_snapshot_failures_total"), "failed"),
        text="no location",
    )


def _cost() -> Iterator[Panel]:
    """What they cost, and what they spare a new machine."""
    yield lines(
        About(
            "Cost of snapshots",
            "binBps",
            means="Bytes sent to the location per second; what an earlier snapshot has is not sent again.",
            do="Steadily high: the interval is shorter than a snapshot takes; lengthen it.",
            width=6,
        ),
        Query(per_second("muse_snapshot_sent_bytes_total"), "sent"),
    )
    yield lines(
        About(
            "Time spent on snapshots",
            "percentunit",
            means="Share of its time that the busiest worker's snapshot thread is at work.",
            do="Near 100 %: as beside.",
            width=6,
        ),
        Query(busiest("muse_snapshot_seconds_total", by=""), "busiest"),
        top=1,
    )
    yield lines(
        About(
            "Snapshot behind the log",
            "short",
            means="Offsets between the end of the log and the position of a partition's latest snapshot: what a new "
            "machine has to replay. The five most.",
            do="More than the log keeps: a new machine could not start. Make a snapshot: `muse-stream snapshot save`.",
            width=6,
        ),
        Query(_behind(), "{{partition}}"),
    )


def _restores() -> Iterator[Panel]:
    """Restores, and copies of partitions that left."""
    yield bars(
        About(
            "Restores",
            "short",
            means="Stores brought back from a snapshot, in the time shown, by how it ended.",
            do="Anything that failed was replayed from the log instead, which takes longer; the log says why.",
            width=4,
        ),
        Query(in_range("muse_store_restores_total", by="outcome"), "{{outcome}}"),
    )
    yield lines(
        About(
            "Time of a restore",
            "s",
            means="To bring one store back from a snapshot, 99th percentile. No curve while none is restored.",
            do="Above ten minutes: users of that partition wait so long; smaller partitions, or a location that is "
            "near.",
            limits=((600, BAD),),
            width=5,
        ),
        Query(quantile(0.99, "muse_store_restore_duration_seconds"), "p99"),
    )
    yield lines(
        About(
            "Stale copies",
            "bytes",
            means="Copies on disk of partitions that the worker does not own any more: they make a return cheap, and "
            "are dropped when they are old.",
            do="Too much disk: lower state.stale_copy_hours.",
            width=5,
        ),
        Query(total("muse_store_stale_copy_bytes"), "bytes"),
    )
    yield lines(
        About(
            "Stale copies, kept and dropped",
            "short",
            means="How many there are now, and how many were dropped because of their age.",
            do="Nothing; many that come and go mean partitions wander: see rebalances.",
            width=4,
        ),
        Query(total("muse_store_stale_copies"), "kept"),
        Query(in_range("muse_store_stale_copies_dropped_total"), "dropped in the time shown"),
    )


def _behind() -> str:
    end = worst("muse_ingest_consumer_high_watermark", BEHAVIOURS, by="partition")
    return f"topk(5, {end} - on (partition) {worst('muse_snapshot_offset', by='partition')})"
