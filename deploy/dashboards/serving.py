"""Serving: rate, errors and duration of requests, where the time goes, what waits and what is shed."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards import slo
from deploy.dashboards.advice import SLOW_FIRST
from deploy.dashboards.board import Board, Row
from deploy.dashboards.common import BAD, About, Query
from deploy.dashboards.panels import heat, lines
from deploy.dashboards.promql import (
    buckets,
    per_second,
    quantile,
    share_of_all,
    within,
)
from deploy.dashboards.waiting import asked, waiting

LATENCY = "muse_request_duration_seconds"


def board() -> Board:
    """Make the board."""
    answers = "Are answers fast and sane; if not: which outcome, which stage, which worker, how much load?"
    rows = [
        Row("Rate, errors, duration", list(_red())),
        Row("Where the time goes", list(_stages())),
        Row("What waits, what is shed", list(waiting())),
        Row("What is asked", list(asked())),
    ]
    return Board("serving", "muse-stream / Serving", answers, rows)


def answers_by_outcome(width: int) -> Panel:
    """Traffic, as a stack of outcomes."""
    return lines(
        About(
            "Answers per second",
            "reqps",
            means="Every request gets an answer; the stack is the traffic. `ok` and `prefetched` are good; "
            "`malformed` and `too_large` the client's; `not_ready`, `expired`, `overload` and `error` ours.",
            do="Traffic gone: look at the clients and at the requests topic. `overload`: add workers. `expired`: "
            "requests arrive late or wait too long. `error`: the worker's log has the trace.",
            width=width,
        ),
        Query(per_second("muse_requests_total", by="outcome"), "{{outcome}}"),
        stacked=True,
    )


def mean_by_stage(width: int) -> Panel:
    """The mean request, cut into stages."""
    parts = per_second("muse_request_stage_duration_seconds_sum", by="stage")
    whole = per_second(f"{LATENCY}_count")
    return lines(
        About(
            "Mean answer by stage",
            "s",
            means="The stages of a request, each averaged over all answers, so that the stack is the mean answer time.",
            do=SLOW_FIRST,
            width=width,
        ),
        Query(share_of_all(parts, whole), "{{stage}}"),
        stacked=True,
    )


def _red() -> Iterator[Panel]:
    yield answers_by_outcome(width=8)
    yield lines(
        About(
            "Answers that are not good",
            "percentunit",
            means="Share of all answers by outcome, those that are no `ok` or `prefetched`. The dashed line is what "
            "the objective of availability allows of ours.",
            do="`overload`, `expired`: see What waits. `not_ready`: a partition is being restored, see Ingest & "
            "freshness. `error`: read the log. `malformed`, `too_large`: tell the client's owner.",
            limits=((1 - slo.OBJECTIVES["availability"], BAD),),
        ),
        Query(
            share_of_all(
                per_second("muse_requests_total", 'outcome!~"ok|prefetched"', by="outcome"),
                per_second("muse_requests_total"),
            ),
            "{{outcome}}",
        ),
    )
    yield lines(
        About(
            "Answer time",
            "s",
            means="Percentiles over all workers, from arrival in the worker to the acknowledged answer. The dashed "
            "line is the objective: 99 % below it.",
            do=SLOW_FIRST,
            limits=((slo.FAST_SECONDS, BAD),),
        ),
        *(Query(quantile(point, LATENCY), name) for point, name in ((0.5, "half"), (0.9, "p90"), (0.99, "p99"))),
        Query(quantile(0.999, LATENCY), "p99.9"),
        log=True,
    )


def _stages() -> Iterator[Panel]:
    yield mean_by_stage(width=12)
    yield lines(
        About(
            "Stages, p99",
            "s",
            means="99th percentile of each stage by itself. They do not add up: the slowest of one stage is seldom "
            "the slowest of another.",
            do=SLOW_FIRST,
            width=12,
        ),
        Query(quantile(0.99, "muse_request_stage_duration_seconds", by="stage"), "{{stage}}"),
        log=True,
    )
    yield heat(
        About(
            "Answer time, all of it",
            "s",
            means="How many answers took how long. Two bands are two kinds of request: short and long histories, "
            "resident or loaded from disk.",
            do="A second band that appeared: find what changed then (a model, a rebalance, a client that asks for "
            "more).",
            width=12,
        ),
        Query(buckets(LATENCY), "{{le}}"),
    )
    yield lines(
        About(
            "Answer time by worker, p99",
            "s",
            means="99th percentile of each worker.",
            do="One is slow: its disk, its neighbours on the machine, or a partition with hot users. All are: see "
            "stages.",
            width=6,
            limits=((slo.FAST_SECONDS, BAD),),
        ),
        Query(quantile(0.99, LATENCY, by="instance"), "{{instance}}"),
        log=True,
    )
    yield lines(
        About(
            "Answers within 100 ms",
            "percentunit",
            means="Share of answers that are fast enough: the indicator of the latency objective, 99 %.",
            do=SLOW_FIRST,
            width=6,
            limits=((slo.OBJECTIVES["latency"], BAD),),
        ),
        Query(within("0.1", LATENCY), "within 100 ms"),
        top=1,
    )
