"""Ingest, below: how fast logs are read and what of them is refused."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.advice import REFUSED_FIRST
from deploy.dashboards.common import BAD, WARN, About, Query, quantiles
from deploy.dashboards.panels import bars, lines
from deploy.dashboards.promql import busiest, in_range, mean, per_second, quantile, share

CONSUMED, APPLIED = "muse_ingest_records_consumed_total", "muse_ingest_rows_applied_total"
SERVING = 'role="serving"'


def reading() -> Iterator[Panel]:
    """Rates, batches, times."""
    yield from _rates()
    yield from _batches()


def _rates() -> Iterator[Panel]:
    """How much is read, and how busy that makes."""
    yield lines(
        About(
            "Records read per second",
            "cps",
            means="Records that owners read from each log; copies that stand by are counted apart.",
            do="0 with traffic at the producers: look at lag and assignment. A plateau with a growing lag is the most "
            "that these workers can read.",
        ),
        Query(per_second(CONSUMED, SERVING, by="topic"), "{{topic}}"),
        Query(per_second(CONSUMED, 'role="standby"', by="topic"), "{{topic}}, standby"),
    )
    yield lines(
        About(
            "Rows written per second",
            "cps",
            means="Behaviours, profiles and items that were written to stores; below what is read where records are "
            "refused, repeated, or carry several.",
            do="Far below what is read: see What is refused.",
        ),
        Query(per_second(APPLIED, by="topic"), "{{topic}}"),
    )
    yield lines(
        About(
            "Ingest busy, by worker and stage",
            "percentunit",
            means="Share of its time that the busiest worker's ingest spends on decoding, writing and telling the "
            "engine.",
            do="The sum near 100 %: this worker reads as fast as it can. `store` large: disk, see State & GPU. "
            "`decode`: send the binary form instead of JSON.",
            limits=((0.85, WARN),),
        ),
        Query(busiest("muse_ingest_stage_seconds_total", by="stage"), "{{stage}}"),
        stacked=True,
    )


def _batches() -> Iterator[Panel]:
    """Batches and commits."""
    yield lines(
        About(
            "Records per batch",
            "none",
            means="Large while catching up, small while requests are answered, so that a write holds nobody up long.",
            do="Nothing by itself; small and far behind: requests leave ingest no time, add workers.",
        ),
        Query(mean("muse_ingest_batch_records"), "mean"),
        Query(quantile(0.99, "muse_ingest_batch_records"), "p99"),
        log=True,
    )
    yield lines(
        About(
            "Time of a batch",
            "s",
            means="To decode a batch, write it and tell the engine: median and 99th percentile.",
            do="p99 above 100 ms: the disk or compaction, see State & GPU.",
            limits=((0.1, WARN),),
        ),
        *quantiles("muse_ingest_apply_duration_seconds", 0.5, 0.99),
        log=True,
    )
    yield lines(
        About(
            "Time of a commit",
            "s",
            means="To hand positions over to Kafka, about once a second; for lag tools only, nothing depends on them.",
            do="Above 1 s: connections to the brokers cannot be had; expect rebalances.",
            limits=((1, WARN),),
        ),
        *quantiles("muse_ingest_commit_duration_seconds", 0.5, 0.99),
        log=True,
    )


def refused() -> Iterator[Panel]:
    """Rejects, dead letters, repeats, erasures."""
    yield lines(
        About(
            "Refused, share of records",
            "percentunit",
            means="Records that could not be used, of those that were read. The dashed line is where the alert begins.",
            do=REFUSED_FIRST,
            width=6,
            limits=((0.001, BAD),),
        ),
        Query(share(per_second("muse_ingest_records_rejected_total"), per_second(CONSUMED, SERVING)), "refused"),
    )
    yield bars(
        About(
            "Refused, by reason",
            "short",
            means="Records of the time shown that could not be used, by reason; each is kept as a dead letter.",
            do=REFUSED_FIRST,
            width=6,
        ),
        Query(f"{in_range('muse_ingest_records_rejected_total', by='reason')} > 0", "{{reason}}"),
    )
    yield lines(
        About(
            "Dead letters per second",
            "cps",
            means="Refused records, and dead letters that the broker acknowledged: a batch waits until it has them "
            "all.",
            do="Acknowledged below refused: the dead-letter topic is missing or takes no writes, and ingest waits for "
            "it.",
            width=6,
        ),
        Query(per_second("muse_ingest_records_rejected_total"), "refused"),
        Query(per_second("muse_ingest_dead_letters_total"), "acknowledged"),
    )
    yield lines(
        About(
            "Repeats and erasures per second",
            "cps",
            means="Behaviours dropped because their event id was seen a moment ago, and erasures of users.",
            do="Many repeats: a producer retries without idempotence, or a log is replayed into another. Erasures in "
            "bulk: ask who sends them before they are gone for good.",
            width=6,
        ),
        Query(per_second("muse_ingest_duplicates_dropped_total"), "repeats"),
        Query(per_second("muse_ingest_users_erased_total"), "erasures"),
    )
