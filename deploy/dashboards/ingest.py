"""Ingest & freshness: whether behaviours are retrievable in time, and which partition is not."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards import slo
from deploy.dashboards.advice import LAG_FIRST
from deploy.dashboards.assignment import assignment
from deploy.dashboards.board import Board, Row
from deploy.dashboards.common import BAD, WARN, About, Query, quantiles
from deploy.dashboards.panels import bars, heat, history, lines
from deploy.dashboards.promql import buckets, in_range, per_second, quantile, series, total, within, worst
from deploy.dashboards.reading import reading, refused

BROKER = "muse_freshness_broker_visible_seconds"
PLACE = "topic, partition"


def board() -> Board:
    """Make the board."""
    answers = "Are behaviours retrievable in time? Which partition is not, and is it reading, refusing or moving?"
    rows = [
        Row("Freshness", list(_freshness())),
        Row("Partition by partition", list(_partitions())),
        Row("Canary", list(_canary())),
        Row("Reading", list(reading())),
        Row("What is refused", list(refused())),
        Row("Assignment", list(assignment())),
    ]
    return Board("ingest", "muse-stream / Ingest & freshness", answers, rows)


def _freshness() -> Iterator[Panel]:
    yield lines(
        About(
            "Freshness, four ways",
            "s",
            means="p99 of event time to retrievable (age of the data, late producers included), p99 of broker time to "
            "retrievable (our part), p99 that the canary saw through the whole path, and the oldest unread record. "
            "Only the last grows while a consumer stands still.",
            do="Event high, the others low: a producer is late or its clock is wrong. Oldest unread high: " + LAG_FIRST,
            limits=((slo.FRESH_SECONDS, BAD),),
        ),
        Query(quantile(0.99, "muse_freshness_event_visible_seconds"), "event p99"),
        Query(quantile(0.99, BROKER), "broker p99"),
        Query(quantile(0.99, "muse_canary_freshness_seconds"), "canary p99"),
        Query(worst("muse_ingest_lag_seconds"), "oldest unread"),
        log=True,
    )
    yield heat(
        About(
            "Broker to retrievable, all of it",
            "s",
            means="How many behaviours became retrievable how long after the broker had them.",
            do="A second band above 1 s: one partition or worker is behind, find it below.",
        ),
        Query(buckets(BROKER), "{{le}}"),
    )
    yield lines(
        About(
            "Retrievable within 1 s",
            "percentunit",
            means="Share of behaviours that are fresh enough: the indicator of the freshness objective, 99 %.",
            do=LAG_FIRST,
            limits=((slo.OBJECTIVES["freshness"], BAD),),
        ),
        Query(within("1.0", BROKER), "within 1 s"),
        top=1,
    )


def _partitions() -> Iterator[Panel]:
    yield from _lags()
    yield from _held()


def _lags() -> Iterator[Panel]:
    """Who is behind, and for how long still."""
    yield history(
        About(
            "Lag of each partition, over time",
            "s",
            means="Age of the oldest unread record: green below 1 s, orange below 30 s, red above. A row per topic "
            "and partition.",
            do="One red row: its worker's /health/ready says why. Rows that turn red together: their worker or the "
            "broker.",
            width=12,
            height=10,
            limits=((slo.FRESH_SECONDS, WARN), (30, BAD)),
        ),
        Query(worst("muse_ingest_lag_seconds", by=PLACE), "{{topic}}/{{partition}}"),
    )
    yield bars(
        About(
            "Unread records",
            "short",
            means="The ten partitions with the most records between the store and the end of the log.",
            do="Falling: wait, the next panel says how long. Standing or growing: that partition is not read fast "
            "enough.",
            width=6,
            height=10,
            limits=((10_000, WARN), (1_000_000, BAD)),
        ),
        Query(f"topk(10, {worst('muse_ingest_lag_messages', by=PLACE)})", "{{topic}}/{{partition}}"),
    )
    yield lines(
        About(
            "Time until caught up",
            "s",
            means="Unread records, divided by how much faster they are read than written. No curve where nothing is "
            "unread or where the lag does not fall.",
            do="No curve for a partition that has a lag: it will not catch up by itself; it stands still or needs "
            "another worker.",
            width=6,
            height=10,
        ),
        Query(_until_caught_up(), "{{topic}}/{{partition}}"),
    )


def _held() -> Iterator[Panel]:
    """What holds records back or stands still."""
    yield bars(
        About(
            "Held back by a transaction",
            "s",
            means="For how long an open transaction of some producer has held records back. They are not committed, "
            "so they count into no lag.",
            do="Find the producer with kafka-transactions.sh find-hanging and abort its transaction; /health/ready "
            "names the partition.",
            width=12,
            limits=((60, WARN), (600, BAD)),
        ),
        Query(f"topk(5, {worst('muse_ingest_held_back_seconds', by=PLACE)} > 0)", "{{topic}}/{{partition}}"),
    )
    yield bars(
        About(
            "Records held back",
            "short",
            means="Offsets behind the last stable one, of the five partitions with the most.",
            do="They become readable when the transaction ends; expect a burst then.",
            width=6,
        ),
        Query(f"topk(5, {worst('muse_ingest_held_back_records', by=PLACE)} > 0)", "{{topic}}/{{partition}}"),
    )
    yield lines(
        About(
            "Stuck, waiting, cut off",
            "none",
            means="Partitions where work waits and nothing moves while the brokers answer, by what it waits for; "
            "partitions whose reading waits until the broker has their dead letters; workers that the brokers do not "
            "answer.",
            do="Stuck: take the worker's stacks (py-spy dump) and its last log lines. Waiting: does the dead-letter "
            "topic exist and take writes? Cut off: network, or the brokers.",
            width=6,
            limits=((1, BAD),),
        ),
        Query(total("muse_watchdog_stuck_partitions", by="reason"), "stuck: {{reason}}"),
        Query(total("muse_ingest_partitions_waiting"), "waiting for dead letters"),
        Query(f"sum (1 - {series('muse_ingest_broker_ok')})", "workers cut off"),
    )


def _until_caught_up() -> str:
    read = f"deriv({series('muse_ingest_consumer_offset')}[$__rate_interval])"
    written = f"deriv({series('muse_ingest_consumer_high_watermark')}[$__rate_interval])"
    return f"max by ({PLACE}) (({series('muse_ingest_lag_messages')} > 0) / ({read} - {written} > 0))"


def _canary() -> Iterator[Panel]:
    yield lines(
        About(
            "Canary: written to seen",
            "s",
            means="From sending a canary's behaviour to seeing it in an answer, through Kafka, ingest, search and "
            "back. The dashed line is the objective: 99 % below it.",
            do="High with a low broker time to retrievable: requests are slow, see Serving. Both high: ingest.",
            limits=((slo.CANARY_SECONDS, BAD),),
        ),
        *quantiles("muse_canary_freshness_seconds", 0.5, 0.99),
        log=True,
    )
    yield history(
        About(
            "Canary of each partition, over time",
            "s",
            means="How long ago the newest canary that was seen was sent: green below 15 s.",
            do="A red row: users of this partition are not served in time, whatever the other panels say.",
            limits=((15, WARN), (30, BAD)),
        ),
        Query(worst("muse_canary_unseen_seconds", by="partition"), "{{partition}}"),
    )
    yield lines(
        About(
            "Canaries sent and seen",
            "ops",
            means="Sent and seen again per second; the two should lie on one another.",
            do="None sent: the canary is off or Kafka takes no writes. Sent and not seen: see the reasons beside.",
            width=4,
        ),
        Query(per_second("muse_canary_sent_total"), "sent"),
        Query(per_second("muse_canary_seen_total"), "seen"),
    )
    yield bars(
        About(
            "Canaries missed",
            "short",
            means="Canaries of the time shown that did not come back in time, by reason.",
            do="The runbook of the canary's alert has a first step for each reason.",
            width=4,
            limits=((1, WARN), (10, BAD)),
        ),
        Query(in_range("muse_canary_missed_total", by="reason"), "{{reason}}"),
    )
