import json
from dataclasses import replace
from typing import Any

import pytest

from muse_stream.streams.audit.compare import Difference
from muse_stream.streams.audit.report import AuditReport, PartitionReport
from muse_stream.streams.demo.summary import Summary, quantile

GOOD = Summary(
    behaviours_sent=132_182,
    behaviours_stored=132_182,
    requests_sent=120,
    requests_answered=120,
    requests_refused=0,
    answers_repeated=0,
    dead_letters=0,
    seconds=30.12345,
    replay_seconds=12.0,
    behaviours_per_second=2_700.0,
    freshness_p50_ms=12.0,
    freshness_p99_ms=48.0,
    latency_p50_ms=20.123456,
    latency_p99_ms=80.0,
    long_history=100_000,
    long_history_retrieval_ms=3.0,
    long_history_again_ms=0.5,
    new_behaviour_visible_ms=30.0,
    model="untrained",
    model_trained=False,
    model_gauc=None,
)


def test_a_whole_run_has_no_failures() -> None:
    assert GOOD.failures() == []
    assert replace(GOOD, audit=AuditReport().document()).failures() == []


def test_what_the_audit_found_is_a_failure() -> None:
    store = PartitionReport(0, "behaviours-0", "whole")
    store.add(Difference(0, 7, "the store has none", lost=3, doubled=1))
    audited = replace(GOOD, audit=AuditReport([store]).document())
    assert audited.failures() == ["the audit found 1 differences: 3 lost, 1 doubled"]
    assert audited.as_json()["audit"] == AuditReport([store]).document()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"behaviours_stored": 132_181}, "132182 behaviours were sent, 132181 are stored"),
        ({"behaviours_stored": 132_183}, "132183 are stored"),
        ({"requests_answered": 118, "requests_refused": 1}, "2 of 120 requests got no scores (1 refused)"),
        ({"dead_letters": 3}, "3 dead letters"),
        ({"requests_sent": 0, "requests_answered": 0}, "no request was sent"),
        ({"new_behaviour_visible_ms": None}, "was not retrieved"),
    ],
)
def test_whatever_is_missing_is_said(change: dict[str, Any], said: str) -> None:
    (failure,) = replace(GOOD, **change).failures()
    assert said in failure


def test_the_json_form_has_the_promised_keys() -> None:
    written = json.loads(json.dumps(GOOD.as_json()))
    promised = "behaviours_sent behaviours_stored requests_sent requests_answered dead_letters"
    times = "freshness_p50_ms freshness_p99_ms latency_p50_ms latency_p99_ms"
    assert set(f"{promised} {times}".split()) < set(written)
    assert written["latency_p50_ms"] == 20.123
    assert written["failures"] == []


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)])
def test_quantiles_are_values_that_occurred(share: float, expected: float) -> None:
    assert quantile([float(value) for value in range(100, 0, -1)], share) == expected


def test_no_values_have_no_quantile() -> None:
    assert quantile([], 0.5) is None
