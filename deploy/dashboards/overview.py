"""Overview: one screen that says whether behaviours are there in time, answers fast and sane, and who is to blame."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards import slo
from deploy.dashboards.advice import LAG_FIRST, SLOW_FIRST
from deploy.dashboards.board import ALERTS, Board, Row
from deploy.dashboards.common import BAD, GOOD, WARN, About, Query, quantiles
from deploy.dashboards.panels import bars, lines, rows, tile
from deploy.dashboards.promql import emptiest, fullest, quantile, series, total, worst
from deploy.dashboards.serving import answers_by_outcome, mean_by_stage


def board() -> Board:
    """Make the board."""
    answers = "In ten seconds: are behaviours retrievable in time, are answers fast and sane, who is to blame?"
    return Board("overview", "muse-stream / Overview", answers, [Row("", [*_now(), *_hour(), *_blame()])])


def _now() -> Iterator[Panel]:
    yield from _promises()
    yield from _answers()
    yield from _fleet()


def _promises() -> Iterator[Panel]:
    """What is left of the budgets, and what is oldest."""
    yield bars(
        About(
            "Error budget left (3 days)",
            "percentunit",
            means="How much of what the objectives allow to go wrong in three days has not gone wrong. 100 %: nothing "
            "did; 0 %: used up; below: the objective is missed.",
            do="Below 25 %: no risky change (models, releases) until it has grown. Which one is low says where to "
            "look: availability and latency on Serving, freshness on Ingest & freshness.",
            width=6,
            height=5,
            limits=((0, WARN), (0.25, GOOD)),
            low=BAD,
        ),
        *(Query(slo.budget_left(sli, "3d"), sli) for sli in slo.OBJECTIVES),
        low=-1,
        top=1,
        text="no traffic",
    )
    yield tile(
        About(
            "Behaviour waiting longest",
            "s",
            means="Age of the oldest record that is written to Kafka and not yet retrievable, of the worst partition. "
            "0 while everything is read.",
            do=LAG_FIRST,
            width=3,
            height=5,
            limits=((slo.FRESH_SECONDS, WARN), (30, BAD)),
        ),
        Query(worst("muse_ingest_lag_seconds"), "worst partition"),
    )
    yield tile(
        About(
            "Canary last seen",
            "s",
            means="How long ago the newest canary that came back in an answer was sent, of the worst partition: the "
            "only figure that goes through everything, with or without traffic.",
            do="Above 30 s with a small lag beside it: requests of that partition fail; look at Canary on Ingest & "
            "freshness for the partition and the reason. With a large lag: ingest is to blame.",
            width=3,
            height=5,
            limits=((15, WARN), (30, BAD)),
        ),
        Query(worst("muse_canary_unseen_seconds"), "worst partition"),
    )


def _answers() -> Iterator[Panel]:
    """Whether answers are fast and good."""
    yield tile(
        About(
            "Answer, p99",
            "s",
            means="99 of 100 answers took less, from the request's arrival in a worker to the acknowledged answer.",
            do=SLOW_FIRST,
            width=3,
            height=5,
            limits=((slo.FAST_SECONDS / 2, WARN), (slo.FAST_SECONDS, BAD)),
        ),
        Query(quantile(0.99, "muse_request_duration_seconds"), "p99"),
        text="no traffic",
    )
    yield tile(
        About(
            "Good answers",
            "percentunit",
            means="Share of requests, over five minutes, that were answered with what they asked for; the client's "
            "own mistakes and prefetches that were shed are left out.",
            do="Open Serving: `overload` or `expired` means too much load or slow passes; `not_ready` partitions that "
            "are being restored; `error` a fault, whose log line has the trace.",
            width=3,
            height=5,
            limits=((0.99, WARN), (slo.OBJECTIVES["availability"], GOOD)),
            low=BAD,
        ),
        Query(slo.ratio("availability", "5m"), "good"),
        text="no traffic",
    )


def _fleet() -> Iterator[Panel]:
    """Whether all workers and partitions are there."""
    yield tile(
        About(
            "Workers: ready, reachable, known",
            "none",
            means="Workers that say they are ready, that answered the last scrape, that Prometheus has as targets.",
            do="Reachable below known: a worker is down or cut off; read its log, its supervisor should restart it. "
            "Ready below reachable: ask it why: `curl WORKER/health/ready` names the check and what to do.",
            width=3,
            height=5,
        ),
        Query(total("muse_health_ready"), "ready"),
        Query(f"sum ({series('up')})", "reachable"),
        Query(f"count ({series('up')})", "known"),
    )
    yield tile(
        About(
            "Partitions not ready",
            "none",
            means="Partitions that a worker was given and has not yet read up to the log's end as it was then. "
            "Requests for their users wait or are answered `not_ready`.",
            do="After a restart or rebalance: wait, Ingest & freshness shows the progress. If it stays: a partition "
            "stopped; `curl WORKER/health/ready` says which and what to do.",
            width=3,
            height=5,
            limits=((1, WARN),),
        ),
        Query(f"{total('muse_ingest_partitions_assigned')} - {total('muse_ingest_partitions_ready')}", "not ready"),
    )


def _hour() -> Iterator[Panel]:
    yield lines(
        About(
            "From written to retrievable",
            "s",
            means="Median and 99th percentile of broker time to retrievable, what the canary measured through the "
            "whole path, and the age of the oldest unread record. The dashed line is the objective.",
            do=LAG_FIRST,
            limits=((slo.FRESH_SECONDS, BAD),),
        ),
        *quantiles("muse_freshness_broker_visible_seconds", 0.5, 0.99),
        Query(quantile(0.99, "muse_canary_freshness_seconds"), "canary p99"),
        Query(worst("muse_ingest_lag_seconds"), "oldest unread"),
        log=True,
    )
    yield lines(
        About(
            "Answer time",
            "s",
            means="Median, 99th and 99.9th percentile over all workers. The dashed line is the objective: 99 % below "
            "it.",
            do=SLOW_FIRST,
            limits=((slo.FAST_SECONDS, BAD),),
        ),
        *quantiles("muse_request_duration_seconds", 0.5, 0.99, 0.999),
        log=True,
    )
    yield answers_by_outcome(width=8)


def _blame() -> Iterator[Panel]:
    yield bars(
        About(
            "Partitions furthest behind",
            "s",
            means="The five partitions whose oldest unread record is oldest; 0 means nothing waits.",
            do="One partition: a hot key, a stopped partition or an open transaction; its worker's /health/ready "
            "tells. All of one worker: that worker. All: the broker, or too little capacity.",
            width=6,
            limits=((slo.FRESH_SECONDS, WARN), (30, BAD)),
        ),
        Query(f"topk(5, {worst('muse_ingest_lag_seconds', by='topic, partition')})", "{{topic}}/{{partition}}"),
    )
    yield mean_by_stage(width=6)
    yield lines(
        About(
            "Saturation",
            "percentunit",
            means="The fullest worker's share of each thing that runs out: time of its search thread, its disk, room "
            "for resident histories (full is normal: it is a cache), room for vectors' histories on the GPU.",
            do="Search above 80 %: add workers or partitions before requests are shed. Disk above 85 %: see State & "
            "GPU. Histories full with a low hit share: give engine.pool_bytes more.",
            width=6,
            limits=((0.85, BAD),),
        ),
        Query(worst("muse_request_saturation_ratio"), "search thread"),
        Query(f"1 - {emptiest('muse_store_disk_free_bytes', 'muse_store_disk_size_bytes')}", "disk"),
        Query(fullest("muse_engine_pool_bytes", "muse_engine_pool_budget_bytes"), "histories"),
        Query(fullest("muse_gpu_pool_bytes", "muse_gpu_pool_budget_bytes"), "GPU histories"),
        top=1,
    )
    yield rows(
        About(
            "Alerts firing",
            "none",
            means="Every alert that fires now, however many workers it fires for. `page`: act now; `ticket`: this "
            "week.",
            do="Its runbook is `docs/runbooks/NAME.md`: what it means, where to look first, which command helps.",
            width=6,
        ),
        Query(ALERTS, "{{alertname}}"),
        *("severity", "alertname"),
        value="",
        text="nothing fires",
    )
