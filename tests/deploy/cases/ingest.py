"""Cases of the alerts about what is read from Kafka: brokers, lag, stopped and moving partitions, rejects."""

from collections.abc import Mapping, Sequence

from tests.deploy.timeline import WORKERS, Case, Course, Level, Rate, everywhere, on, steady, still

_BROKER_OK = everywhere("muse_ingest_broker_ok", still(1))
_READY = {
    **everywhere("muse_ingest_partitions_assigned", still(2), role="serving"),
    **everywhere("muse_ingest_partitions_assigned", still(0), role="standby"),
    **everywhere("muse_ingest_partitions_ready", still(2)),
    **everywhere("muse_ingest_partitions_failed", still(0), reason="store"),
    **_BROKER_OK,
}
"""Three workers with two partitions each, and all is well."""
_CATCHING_UP = {on("w1", "muse_ingest_partitions_ready"): Level(2, 1)}
_AWAY = everywhere("muse_ingest_broker_ok", Level(1, 0))


def _lag(course: Course, topic: str = "behaviours") -> dict[str, Course]:
    """One partition of `w1`; the others have none."""
    late = {on("w1", "muse_ingest_lag_seconds", topic=topic, partition="0"): course}
    others = {on(worker, "muse_ingest_lag_seconds", topic=topic, partition=worker[1]): still(0) for worker in WORKERS}
    return {**_READY, **others, **late}


def _standing(messages: Course, seconds: Course, position: Course) -> dict[str, Course]:
    labels = {"topic": "behaviours", "partition": "0"}
    return {
        **_READY,
        on("w1", "muse_ingest_lag_messages", **labels): messages,
        on("w1", "muse_ingest_lag_seconds", **labels): seconds,
        on("w1", "muse_ingest_consumer_offset", **labels): position,
    }


def _rejects(rejected: Mapping[str, Course], consumed: float = 100) -> dict[str, Course]:
    """By worker; each reads `consumed` records a second."""
    series = everywhere("muse_ingest_records_consumed_total", steady(consumed), topic="behaviours", role="serving")
    for worker, course in rejected.items():
        series[on(worker, "muse_ingest_records_rejected_total", reason="bad_json")] = course
    return {**series, **everywhere("muse_ingest_records_rejected_total", steady(0), reason="bad_id")}


BROKERS: Mapping[str, Sequence[Case]] = {
    "MuseBrokersUnreachable": (
        Case("nobody reaches Kafka for two minutes", _AWAY, [{"severity": "page"}], minutes=(10, 2, 10)),
        Case(
            "one of three does not, for longer",
            {**_BROKER_OK, on("w2", "muse_ingest_broker_ok"): Level(1, 0)},
            [{"severity": "ticket", "instance": "w2"}],
            minutes=(10, 10, 10),
        ),
        Case("a leader election", _AWAY, minutes=(10, 0.5, 10)),
    ),
    "MuseBehavioursLate": (
        Case(
            "the consumer of one partition stands still", _lag(Level(0, 400)), [{"partition": "0", "severity": "page"}]
        ),
        Case("a worker catches up after a restart", {**_lag(Level(0, 4000)), **_CATCHING_UP}),
        Case("Kafka is away, which is said by another alert", {**_lag(Level(0, 400)), **_AWAY}),
        Case("two minutes of lag", _lag(Level(0, 110)), minutes=(10, 2, 10)),
        Case("lag below a minute", _lag(Level(0, 55))),
        Case("items are late, which is another alert", _lag(Level(0, 4000), "items")),
    ),
    "MuseProfilesOrItemsLate": (
        Case(
            "nobody reads the items; each worker has a lag of its own, and it is one trouble",
            {**_READY, **everywhere("muse_ingest_lag_seconds", Level(0, 900), topic="items", partition="0")},
            [{"topic": "items", "partition": "0"}],
        ),
        Case("profiles are two minutes late", _lag(Level(0, 120), "users")),
        Case("Kafka is away", {**_lag(Level(0, 900), "items"), **_AWAY}),
    ),
    "MusePartitionNotMoving": (
        Case(
            "records wait and the position stands",
            _standing(Level(0, 500), Level(0, 700), Rate(5, 0)),
            [{"topic": "behaviours", "partition": "0"}],
        ),
        Case("it is behind and moves", _standing(Level(0, 500), Level(0, 700), steady(5))),
        Case("it is idle", _standing(still(0), still(0), steady(0))),
        Case("only the marker of a transaction is unread", _standing(still(1), still(3), steady(0))),
        Case("Kafka is away", {**_standing(Level(0, 5), Level(0, 700), Rate(5, 0)), **_AWAY}),
    ),
    "MuseTransactionOpen": (
        Case(
            "a producer left a transaction open",
            everywhere("muse_ingest_held_back_seconds", Level(0, 900), topic="behaviours", partition="3"),
            [{"topic": "behaviours", "partition": "3"}],
        ),
        Case(
            "transactions of a minute",
            everywhere("muse_ingest_held_back_seconds", Level(0, 60), topic="behaviours", partition="3"),
        ),
    ),
    "MuseCanaryUnseen": (
        Case(
            "the canary of one partition does not come back",
            {
                **_READY,
                on("w1", "muse_canary_unseen_seconds", partition="0"): Level(4, 300),
                on("w2", "muse_canary_unseen_seconds", partition="1"): still(4),
            },
            [{"partition": "0", "severity": "page"}],
        ),
        Case(
            "the former owner cannot know better; the new one sees it",
            {
                **_READY,
                on("w1", "muse_canary_unseen_seconds", partition="0"): Level(4, 300),
                on("w2", "muse_canary_unseen_seconds", partition="0"): Level(None, 4),
            },
        ),
        Case(
            "the owner catches up",
            {**_READY, **_CATCHING_UP, on("w1", "muse_canary_unseen_seconds", partition="0"): Level(4, 300)},
        ),
    ),
    "MuseCanaryNotInAnswer": (
        Case(
            "one answer lacks its canary",
            everywhere("muse_canary_missed_total", steady(0), reason="absent")
            | {on("w1", "muse_canary_missed_total", reason="absent"): Rate(0, 1 / 60)},
            [{"severity": "ticket"}],
            minutes=(20, 2, 20),
        ),
        Case("no answer comes", everywhere("muse_canary_missed_total", Rate(0, 1), reason="no_answer")),
    ),
    "MuseNoCanary": (
        Case(
            "workers are up and send none",
            {**everywhere("up", still(1)), **everywhere("muse_canary_sent_total", Rate(0.2, 0))},
            [{"job": "muse-stream"}],
            minutes=(35, 40, 35),
        ),
        Case(
            "one of three does: the others own no partition",
            {
                **everywhere("up", still(1)),
                **everywhere("muse_canary_sent_total", steady(0)),
                on("w1", "muse_canary_sent_total"): steady(0.2),
            },
            minutes=(35, 40, 5),
        ),
        Case(
            "no worker is up, which is another alert",
            {**everywhere("up", Level(1, 0)), **everywhere("muse_canary_sent_total", Rate(0.2, None))},
            minutes=(35, 40, 5),
        ),
    ),
}

PARTITIONS: Mapping[str, Sequence[Case]] = {
    "MusePartitionFailed": (
        Case(
            "two partitions of a worker stop",
            {
                **everywhere("muse_ingest_partitions_failed", still(0), reason="position"),
                **everywhere("muse_ingest_partitions_failed", still(0), reason="store"),
                on("w2", "muse_ingest_partitions_failed", reason="store"): Level(0, 2),
            },
            [{"instance": "w2", "reason": "store", "severity": "page"}],
        ),
        Case(
            "a store that could be opened again after a minute",
            everywhere("muse_ingest_partitions_failed", Level(0, 1), reason="store"),
            minutes=(10, 1, 10),
        ),
    ),
    "MuseCatchUpSlow": (
        Case(
            "one partition of one worker takes long",
            {**_READY, **_CATCHING_UP},
            [{"instance": "w1", "severity": "ticket"}],
        ),
        Case("a restart that takes 5 minutes", {**_READY, **_CATCHING_UP}, minutes=(10, 5, 10)),
        Case(
            "the partition has failed, which is another alert",
            {**_READY, **_CATCHING_UP, on("w1", "muse_ingest_partitions_failed", reason="store"): Level(0, 1)},
        ),
    ),
    "MuseRebalancing": (
        Case(
            "partitions change hands every 2 minutes; each worker counts each",
            everywhere("muse_ingest_rebalances_total", Rate(0, 1 / 120)),
            [{"job": "muse-stream"}],
            minutes=(20, 45, 40),
        ),
        Case(
            "a deployment: three workers restart one after the other within 10 minutes",
            everywhere("muse_ingest_rebalances_total", Rate(0, 1 / 100)),
            minutes=(20, 10, 40),
        ),
        Case(
            "one rebalance in 10 minutes, on three workers",
            everywhere("muse_ingest_rebalances_total", Rate(0, 1 / 600)),
            minutes=(20, 60, 20),
        ),
    ),
    "MuseDeadLetters": (
        Case(
            "one record in 100 of one worker",
            _rejects({"w1": Rate(0, 1)}),
            [{"job": "muse-stream"}],
            minutes=(70, 60, 75),
        ),
        Case("one in 3,000", _rejects({worker: Rate(0, 1 / 30) for worker in WORKERS}), minutes=(70, 60, 10)),
        Case(
            "a few bad records in a quiet hour",
            _rejects({"w1": Rate(0, 1 / 600)}, consumed=0.02),
            minutes=(70, 40, 10),
        ),
    ),
    "MusePoison": (
        Case(
            "a fifth of the records of every worker: one alert by reason",
            _rejects({worker: Rate(0, 20) for worker in WORKERS}),
            [{"reason": "bad_json", "severity": "ticket"}],
        ),
        Case("a tenth of one worker's, a thirtieth of all", _rejects({"w1": Rate(0, 10)})),
        Case("five bad records of ten", _rejects({"w1": Rate(0, 0.02)}, consumed=0.01)),
        Case("an idle system", _rejects({"w1": steady(0)}, consumed=0)),
    ),
    "MuseDeadLettersNotTaken": (
        Case(
            "the dead-letter topic is gone",
            {
                **everywhere("muse_ingest_partitions_waiting", still(0)),
                on("w1", "muse_ingest_partitions_waiting"): Level(0, 1),
            },
            [{"instance": "w1"}],
        ),
        Case("it answers after a minute", everywhere("muse_ingest_partitions_waiting", Level(0, 1)), minutes=(5, 1, 5)),
    ),
}

CASES: Mapping[str, Sequence[Case]] = {**BROKERS, **PARTITIONS}
