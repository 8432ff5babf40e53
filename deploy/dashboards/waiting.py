"""Serving, below: queues, passes, what is shed, and what requests ask for."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, WARN, About, Query, quantiles
from deploy.dashboards.panels import lines
from deploy.dashboards.promql import mean, per_second, quantile, share, total, worst


def waiting() -> Iterator[Panel]:
    """Requests under way, shed and late; the passes that compute them."""
    yield from _queue()
    yield from _passes()


def _queue() -> Iterator[Panel]:
    """Who waits, who is shed."""
    yield lines(
        About(
            "Under way and waiting",
            "none",
            means="Requests that arrived and are not yet answered, and those of them that wait for their pass.",
            do="Waiting grows with steady traffic: passes became slower, see the stages. It grows with traffic: add "
            "workers.",
            width=6,
        ),
        Query(total("muse_requests_in_flight"), "under way"),
        Query(total("muse_request_queue_depth"), "waiting"),
        Query(worst("muse_request_queue_depth"), "waiting, fullest worker"),
    )
    yield lines(
        About(
            "Search thread busy, by worker",
            "percentunit",
            means="Share of the last ten seconds in which passes ran. Above 80 % waiting grows fast.",
            do="One worker: it owns hot users or too many partitions. All: add workers; partitions are the unit of "
            "scale.",
            width=6,
            limits=((0.8, WARN),),
        ),
        Query(worst("muse_request_saturation_ratio", by="instance"), "{{instance}}"),
        top=1,
    )
    yield lines(
        About(
            "Shed per second",
            "reqps",
            means="Requests that were read and not computed: queue full, predicted to be late, expired while waiting; "
            "prefetches go first and have a reason of their own.",
            do="Any reason but `prefetch` lasting minutes: too little capacity; add workers, or let clients ask for "
            "fewer candidates.",
            width=6,
        ),
        Query(per_second("muse_requests_shed_total", by="reason"), "{{reason}}"),
        stacked=True,
    )
    yield lines(
        About(
            "Deadlines passed, by stage",
            "reqps",
            means="Where requests were when their deadline passed: before they were read, while they waited, or in "
            "their pass, which still answers.",
            do="`arrival`: the requests topic is read late (a rebalance, a stopped worker) or clocks differ. `queue`: "
            "overload. `answer`: passes take longer than predicted.",
            width=6,
        ),
        Query(per_second("muse_requests_deadline_exceeded_total", by="stage"), "{{stage}}"),
        stacked=True,
    )


def _passes() -> Iterator[Panel]:
    """What computes them, and from which copy."""
    yield lines(
        About(
            "Passes",
            "s",
            means="Time of a pass (state reads, search, scores of all requests in it): mean, 99th percentile, and the "
            "mean that was predicted.",
            do="Mean far above predicted: something else takes the cores or the disk; the worker then sheds too late.",
        ),
        Query(mean("muse_request_pass_duration_seconds"), "mean"),
        Query(quantile(0.99, "muse_request_pass_duration_seconds"), "p99"),
        Query(
            share(
                per_second("muse_request_pass_predicted_seconds_total"),
                per_second("muse_request_pass_duration_seconds_count"),
            ),
            "predicted",
        ),
    )
    yield lines(
        About(
            "Requests per pass",
            "none",
            means="How many requests share a pass: 1 while there is time, more under load, which is what makes load "
            "bearable.",
            do="Nothing by itself. Large and still shedding: capacity is used up.",
        ),
        Query(mean("muse_request_batch_size"), "mean"),
        Query(quantile(0.99, "muse_request_batch_size"), "p99"),
    )
    yield lines(
        About(
            "Answers from a stale copy",
            "reqps",
            means="Answers that were given, marked as such, while the worker's copy was not up to date.",
            do="Expected for moments around a rebalance. If it lasts: a partition does not catch up, see Ingest & "
            "freshness.",
            limits=((1, BAD),),
        ),
        Query(per_second("muse_requests_stale_total"), "stale"),
    )


def asked() -> Iterator[Panel]:
    """Sizes of requests, and what answers came without."""
    yield lines(
        About(
            "Candidates per request",
            "none",
            means="Median and 99th percentile of how many items a request asks about. The time of a pass grows with "
            "it.",
            do="A jump: a client changed; time follows it.",
        ),
        *quantiles("muse_request_candidates", 0.5, 0.99),
    )
    yield lines(
        About(
            "Length of histories",
            "none",
            means="Behaviours of the users who are asked about, at the moment of the request.",
            do="p99 near the cap of 100 000: robots or shared accounts; they cost most. Half at 0: new users, or keys "
            "that do not match those of the behaviours.",
        ),
        *quantiles("muse_request_history_length", 0.5, 0.99),
        log=True,
    )
    yield lines(
        About(
            "Answers that left something out",
            "reqps",
            means="Answers without the features or the explanation that was asked for: too large, or too late.",
            do="Ask for explanations of fewer candidates, or raise serving.answer_max_bytes with the topic's limit.",
        ),
        Query(per_second("muse_request_left_out_total", by="kind"), "{{kind}}"),
        stacked=True,
    )
