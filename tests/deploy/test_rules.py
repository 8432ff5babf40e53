"""The rules are well formed, speak of metrics that exist, and every alert tells its reader what to do."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.rejects import Reason
from tests.deploy import rules
from tests.deploy.promtool import needs_promtool, promtool
from tests.monitoring.worker import full_metrics

BOARDS = {f"/d/muse-{board}" for board in ("overview", "serving", "ingest", "state", "model")}
INDICATORS = ("availability", "latency", "freshness", "canary")
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
_METRIC = re.compile(r"\bmuse_[a-z_]+")
_SELECTOR = re.compile(r"\b(muse_[a-z_]+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_SUFFIX = re.compile(r"_(bucket|sum|count)$")
_ours = {definition.name: definition for definition in rules.catalogue()}


def each_alert() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("alert", rules.alerts(), ids=str)


def metric_of(name: str) -> str:
    """The family of a series' name."""
    return name if name in _ours else _SUFFIX.sub("", name)


def metrics_in(text: str) -> set[str]:
    plain = re.sub(rules.RECORDED, "", text)
    return {metric_of(name) for name in _METRIC.findall(plain)}


def expressions() -> Iterator[tuple[str, str]]:
    yield from rules.records().items()
    yield from ((str(alert), alert.expr) for alert in rules.alerts())


@needs_promtool
def test_prometheus_accepts_the_rules() -> None:
    passed, text = promtool("check", "rules", *rules.FILES)
    assert passed, text


def test_every_metric_exists() -> None:
    for name, expr in expressions():
        unknown = metrics_in(expr) - _ours.keys()
        assert not unknown, f"{name} reads {unknown}, which nobody exports"


def test_every_recorded_series_that_is_read_is_recorded() -> None:
    for name, expr in expressions():
        assert set(rules.RECORDED.findall(expr)) <= rules.records().keys(), name


def label_values() -> dict[tuple[str, str], set[str]]:
    """Values of the closed labels, by family and label, as a worker exports them."""
    found: dict[tuple[str, str], set[str]] = {}
    for family in text_string_to_metric_families(full_metrics().exposition()[0].decode()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault((metric_of(sample.name), label), set()).add(value)
    found["muse_requests_total", "outcome"] = {*map(str, Status), "other"}
    found["muse_ingest_records_rejected_total", "reason"] = {*map(str, Reason), "other"}
    return found


def matchers() -> Iterator[tuple[str, str, str, set[str]]]:
    """Rule, family, label and values of all that is asked of series of ours that exist."""
    for name, expr in expressions():
        for series, inside in _SELECTOR.findall(expr):
            for label, _, asked in _MATCHER.findall(inside):
                if metric_of(series) in _ours:
                    yield name, metric_of(series), label, set(asked.split("|"))


def test_every_label_and_value_that_is_asked_for_exists() -> None:
    known = label_values()
    for name, family, label, asked in matchers():
        if label in {"job", "le"}:
            continue
        assert label in _ours[family].labels, f"{name}: {family} has no label {label}"
        if label != "topic":  # of partitions that the worker of the test does not have
            assert asked <= known[family, label], f"{name}: {family} has no {label} {asked - known[family, label]}"


def test_bounds_that_are_asked_for_are_buckets() -> None:
    exported = label_values()
    bounds = [(family, asked) for _, family, label, asked in matchers() if label == "le"]
    assert len(bounds) > 2
    for family, asked in bounds:
        assert asked <= exported[family, "le"], family


@each_alert()
def test_an_alert_says_how_urgent_it_is_what_is_wrong_and_where_to_read_on(alert: rules.Alert) -> None:
    assert alert.labels["severity"] in {"page", "ticket"}
    texts = alert.annotations["summary"] + alert.annotations["description"]
    assert len(alert.annotations["description"]) > 60
    assert "$value" in texts or alert.name == "MuseNoWorker", "the reader wants to know how much"
    assert alert.annotations["runbook_url"] == f"docs/runbooks/{alert.name}.md"
    assert alert.annotations["dashboard_url"] in BOARDS


@each_alert()
def test_labels_that_an_alert_names_are_left_by_its_expression(alert: rules.Alert) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    kept = {label for found in re.findall(r"\bby \(([^)]*)\)", alert.expr) for label in found.split(", ")}
    if "by (" not in alert.expr.split("unless")[0]:
        kept |= {"job", "instance"}
    assert named <= kept | {"job"}


def form(name: str, indicator: str) -> str:
    """An expression with its indicator's name left out."""
    return name.replace(f":{indicator}:", ":SLI:")


@pytest.mark.parametrize("indicator", INDICATORS)
def test_all_indicators_have_the_same_windows_and_burn_rates(indicator: str) -> None:
    records, first = rules.records(), INDICATORS[0]
    for window in WINDOWS:
        ratio = f"job:{{}}:ratio_rate{window}"
        mine, theirs = records[ratio.format(indicator)], records[ratio.format(first)]
        assert form(mine, indicator) == form(theirs, first)
    burns = {
        name: [form(alert.expr, name) for alert in rules.alerts() if alert.name == f"Muse{name.capitalize()}Burn"]
        for name in (indicator, first)
    }
    assert len(burns[indicator]) == 2
    assert burns[indicator] == burns[first]


def test_rates_of_the_guard_are_recorded_every_thirty_seconds() -> None:
    """The guard multiplies by 30 what is recorded at each evaluation."""
    assert {group["interval"] for group in rules.groups()} == {"30s"}
    guarded = [alert.expr for alert in rules.alerts() if "Burn" in alert.name]
    assert all(expr.count("30 * sum_over_time") == 2 for expr in guarded)


def test_goals_are_shares() -> None:
    for indicator in INDICATORS:
        goal = re.fullmatch(r"vector\((0\.\d+)\)", rules.records()[f"muse:{indicator}:objective"])
        assert goal
        assert 0.5 < float(goal[1]) < 1
