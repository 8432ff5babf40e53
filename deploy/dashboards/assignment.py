"""Ingest, at the bottom: who has which partitions, how often that changes, and which checks fail."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, GOOD, WARN, About, Query, quantiles
from deploy.dashboards.panels import history, lines
from deploy.dashboards.promql import least, series, total


def assignment() -> Iterator[Panel]:
    """Rebalances, roles, restoring, health."""
    yield from _moves()
    yield from _states()


def _moves() -> Iterator[Panel]:
    """Rebalances and who has what."""
    yield lines(
        About(
            "Rebalances",
            "short",
            means="Changes of the assignment in 15 minutes, of the worker with the most.",
            do="More than 3: workers leave and come back. See whether one restarts (memory, health probe) or whether "
            "the brokers lose them (session time-outs in the log).",
            limits=((3, BAD),),
        ),
        Query(f"max (increase({series('muse_ingest_rebalances_total')}[15m]))", "in 15 min"),
    )
    yield lines(
        About(
            "Time of a rebalance",
            "s",
            means="From partitions being taken away or given until all that were given can answer.",
            do="Long: stores are made anew from the log. Give workers volumes that stay, and snapshots for new ones.",
        ),
        *quantiles("muse_ingest_rebalance_duration_seconds", 0.5, 0.99),
        log=True,
    )
    yield lines(
        About(
            "Partitions",
            "none",
            means="Partitions by role, those that have caught up, and those that stopped and wait for an operator, by "
            "reason.",
            do="Stopped: `curl WORKER/health/ready` has the text with what to do. Serving below the number of "
            "partitions: nobody owns some, look for missing workers.",
        ),
        Query(total("muse_ingest_partitions_assigned", by="role"), "{{role}}"),
        Query(total("muse_ingest_partitions_ready"), "caught up"),
        Query(total("muse_ingest_partitions_failed", by="reason"), "stopped: {{reason}}"),
    )


def _states() -> Iterator[Panel]:
    """How far what was given is, and what fails."""
    yield lines(
        About(
            "Restored, share of the worst partition",
            "percentunit",
            means="How much a worker has read of what a partition's log had when it was assigned, of its worst "
            "partition.",
            do="Rising: wait. Standing: that worker's log and disk.",
            limits=((0.999, GOOD),),
            low=WARN,
        ),
        Query(least("muse_ingest_replay_progress_ratio", by="instance"), "{{instance}}"),
        top=1,
    )
    yield history(
        About(
            "Health checks",
            "none",
            means="Each check of the workers, red while it fails on any of them.",
            do="`curl WORKER/health/ready` on the workers: each check has its finding and what to do.",
            limits=((1, GOOD),),
            low=BAD,
        ),
        Query(least("muse_health_check_ok", by="check"), "{{check}}"),
    )
    yield lines(
        About(
            "Position in the logs",
            "cps",
            means="How fast stores move and how fast logs grow, over all partitions of a topic.",
            do="Logs grow faster than stores move for longer than a burst: add workers.",
        ),
        Query(_speed("muse_ingest_consumer_offset"), "{{topic}}, read"),
        Query(_speed("muse_ingest_consumer_high_watermark"), "{{topic}}, written"),
    )


def _speed(position: str) -> str:
    """Offsets per second; a partition that several workers read counts once."""
    return f"sum by (topic) (max by (topic, partition) (deriv({series(position)}[$__rate_interval])))"
