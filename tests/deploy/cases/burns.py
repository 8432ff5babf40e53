"""Cases of the burn-rate alerts.

All of them have one form (`test_rules` sees to it), so the long windows are tried on availability alone.
"""

from collections.abc import Mapping, Sequence

from tests.deploy.timeline import Case, Course, Rate, everywhere, on, steady

_PAGE = [{"job": "muse-stream", "severity": "page"}]
_TICKET = [{"job": "muse-stream", "severity": "ticket"}]
_YOUNG = (10, 20, 50)
"""A new installation: pages come, tickets wait for more history."""
_LATE = (20 * 60, 20, 60)
_LONG = (14 * 60, 6 * 60, 400)
_STEP = 150


_PREFETCHES = everywhere("muse_requests_shed_total", Rate(0, 3), reason="prefetch")


def _histogram(name: str, edge: str, count: Rate, within: Rate) -> dict[str, Course]:
    return {**everywhere(f"{name}_count", count), **everywhere(f"{name}_bucket", within, le=edge)}


def _outcomes(**rates: Rate) -> dict[str, Course]:
    """Answers of each worker by outcome."""
    series = everywhere("muse_requests_shed_total", steady(0), reason="prefetch")
    for outcome, rate in rates.items():
        series |= everywhere("muse_requests_total", rate, outcome=outcome)
    return series


def _answers(within: Rate, asked: float = 10) -> dict[str, Course]:
    return _histogram("muse_request_duration_seconds", "0.1", steady(asked), within)


def _behaviours(within: Rate) -> dict[str, Course]:
    return _histogram("muse_freshness_broker_visible_seconds", "1.0", steady(100), within)


def _canaries(seen: Rate, within: Rate, missed: Rate) -> dict[str, Course]:
    return {
        **_histogram("muse_canary_freshness_seconds", "2.0", seen, within),
        **everywhere("muse_canary_missed_total", missed, reason="no_answer"),
    }


CASES: Mapping[str, Sequence[Case]] = {
    "MuseAvailabilityBurn": (
        Case("5 % are errors, after a good day", _outcomes(ok=Rate(10, 9.5), error=Rate(0, 0.5)), _PAGE, _LATE, _STEP),
        Case("0.5 % for hours", _outcomes(ok=Rate(10, 9.95), error=Rate(0, 0.05)), _TICKET, _LONG, _STEP),
        Case("0.05 % for hours, as the goal allows", _outcomes(ok=steady(10), error=Rate(0, 0.005)), (), _LONG, _STEP),
        Case(
            "a third of one worker's users wait in vain, and the others do not hide it",
            {
                **_outcomes(ok=steady(10), not_ready=steady(0)),
                on("w1", "muse_requests_total", outcome="not_ready"): Rate(0, 5),
            },
            _PAGE,
            _YOUNG,
        ),
        Case("20 requests of an idle system fail", _outcomes(error=Rate(0, 0.006)), _PAGE, _YOUNG),
        Case("clients send nonsense", _outcomes(ok=steady(10), malformed=Rate(0, 9), too_large=Rate(0, 9))),
        Case("prefetches are shed", {**_outcomes(ok=steady(10), overload=Rate(0, 3)), **_PREFETCHES}),
        Case("5 errors on an idle system", _outcomes(ok=steady(0.01), error=Rate(0, 0.0014))),
        Case("no requests at all", _outcomes(ok=steady(0), error=steady(0))),
        Case(
            "a worker is killed: for 10 s a third of the requests expire",
            _outcomes(ok=steady(10), expired=Rate(0, 10 / 90)),
            (),
            (60, 0.5, 30),
        ),
    ),
    "MuseLatencyBurn": (
        Case("a fifth of the answers are late", _answers(Rate(10, 8)), _PAGE, _YOUNG),
        Case("a tenth is late for 3 minutes", _answers(Rate(10, 9)), (), (60, 3, 30)),
        Case("few requests, half of them late", _answers(Rate(0.002, 0.001), 0.002), (), _YOUNG),
    ),
    "MuseFreshnessBurn": (
        Case("a fifth of the behaviours is late", _behaviours(Rate(100, 80)), _PAGE, _YOUNG),
        Case("a hiccup of half a minute", _behaviours(Rate(100, 50)), (), (60, 0.5, 30)),
        Case("nothing is sent", _histogram("muse_freshness_broker_visible_seconds", "1.0", steady(0), steady(0))),
    ),
    "MuseCanaryBurn": (
        Case("half is missed", _canaries(Rate(1, 0.5), Rate(1, 0.5), Rate(0, 0.5)), _PAGE, _YOUNG),
        Case("a third is late", _canaries(steady(1), Rate(1, 0.66), steady(0)), _PAGE, _YOUNG),
        Case("all are seen at once", _canaries(steady(1), steady(1), steady(0))),
        Case("a rebalance of half a minute", _canaries(steady(1), Rate(1, 0), steady(0)), (), (60, 0.5, 30)),
    ),
}
