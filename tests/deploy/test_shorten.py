"""Shortened rules are the shipped ones with less time in them."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.prometheus.shorten import main, milliseconds, shortened
from tests.deploy import rules
from tests.deploy.promtool import needs_promtool, promtool

RULES = """
groups:
  - name: some
    interval: 30s
    rules:
      - record: job:errors:ratio_rate5m
        expr: sum(rate(a_total{le="5m"}[5m])) / sum(rate(b_total[1h30m] offset 1d)) > 300
      - alert: Late
        expr: max_over_time(job:errors:ratio_rate5m[1h:30s]) > 5
        for: 10m
"""


def first(text: str) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(text)["groups"][0]["rules"][0]
    return found


@pytest.mark.parametrize(("time", "expected"), [("5m", 300_000), ("1h30m", 5_400_000), ("3d", 259_200_000), ("7ms", 7)])
def test_times_are_read_as_prometheus_writes_them(time: str, expected: int) -> None:
    assert milliseconds(time) == expected


@pytest.mark.parametrize("time", ["", "5", "m5", "5 m", "5q"])
def test_what_is_no_time_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="no time as Prometheus writes it"):
        milliseconds(time)


def test_ranges_offsets_and_waits_are_divided_and_nothing_else() -> None:
    group = yaml.safe_load(shortened(RULES, 60))["groups"][0]
    record, alert = group["rules"]
    assert group["interval"] == "500ms"
    assert record["record"] == "job:errors:ratio_rate5m"
    assert record["expr"] == 'sum(rate(a_total{le="5m"}[5000ms])) / sum(rate(b_total[90000ms] offset 1440000ms)) > 300'
    assert alert["expr"] == "max_over_time(job:errors:ratio_rate5m[60000ms:500ms]) > 5"
    assert alert["for"] == "10000ms"


def test_the_seconds_that_a_recorded_rate_stands_for_are_divided() -> None:
    text = RULES.replace('sum(rate(a_total{le="5m"}[5m]))', "30 * sum_over_time(job:bad_rate5m[1h])")
    assert first(shortened(text, 60))["expr"].startswith("0.5 * sum_over_time(job:bad_rate5m[60000ms]) / ")


def test_no_range_falls_below_the_least_and_none_becomes_longer() -> None:
    assert "[12000ms]" in first(shortened(RULES, 60, window_seconds_min=12))["expr"]
    assert "[300000ms]" in first(shortened(RULES, 60, window_seconds_min=10_000))["expr"]


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the factor is 0\.5, expected 1 or more"):
        shortened(RULES, 0.5)


@pytest.mark.parametrize("path", rules.FILES, ids=lambda path: path.stem)
def test_every_time_of_the_shipped_rules_is_divided(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    times = r"\[(\d+\w+)\]|offset (\d+\w+)|for: (\d+\w+)"
    before, after = (["".join(found) for found in re.findall(times, each)] for each in (text, shortened(text, 20)))
    assert len(before) > 5
    assert [milliseconds(time) / 20 for time in before] == [milliseconds(time) for time in after]


@needs_promtool
def test_prometheus_accepts_the_shortened_rules(tmp_path: Path) -> None:
    main(["--factor", "20", "--least", "4", "--into", str(tmp_path), *map(str, rules.FILES)])
    passed, text = promtool("check", "rules", *sorted(tmp_path.glob("*.yml")))
    assert passed, text
