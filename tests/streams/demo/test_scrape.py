from math import inf

import pytest

from muse_stream.streams.demo.scrape import Reading, freshness, freshness_ms, records, scrape

EXPOSITION = """\
# HELP muse_ingest_rows_applied_total Rows.
# TYPE muse_ingest_rows_applied_total counter
muse_ingest_rows_applied_total{role="serving",topic="behaviours"} 100.0
# HELP muse_freshness_broker_visible_seconds Freshness.
# TYPE muse_freshness_broker_visible_seconds histogram
muse_freshness_broker_visible_seconds_bucket{le="0.01"} 40.0
muse_freshness_broker_visible_seconds_bucket{le="0.02"} 90.0
muse_freshness_broker_visible_seconds_bucket{le="+Inf"} 100.0
muse_freshness_broker_visible_seconds_count 100.0
muse_freshness_broker_visible_seconds_sum 1.0
"""


READING = Reading(100, freshness(EXPOSITION))


def test_the_histogram_is_found() -> None:
    assert freshness(EXPOSITION) == {0.01: 40.0, 0.02: 90.0, inf: 100.0}


def test_positions_of_the_topic_are_added_up() -> None:
    logs = [{"b": {"position": 7}, "users": {"position": 100}}, {"b": {"position": 5}}, {}]
    assert records({"partitions": [{"logs": one} for one in logs]}, "b") == 12


@pytest.mark.parametrize(("share", "expected"), [(0.2, 5.0), (0.4, 10.0), (0.65, 15.0), (0.99, 20.0)])
def test_quantiles_are_interpolated_and_end_at_the_last_finite_bound(share: float, expected: float) -> None:
    assert freshness_ms(Reading(), READING, share) == pytest.approx(expected)


def test_what_came_before_does_not_count() -> None:
    before = Reading(40, {0.01: 40.0, 0.02: 40.0, inf: 40.0})
    assert freshness_ms(before, READING, 0.5) == pytest.approx(16.0)


def test_nothing_new_has_no_freshness() -> None:
    assert freshness_ms(READING, READING, 0.5) is None
    assert freshness_ms(Reading(), Reading(), 0.5) is None


def test_nobody_answers() -> None:
    assert scrape("http://127.0.0.1:9", "behaviours") is None
