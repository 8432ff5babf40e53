"""Every expression of every board and rule, asked of a Prometheus that scrapes live workers: none errs, none is empty.

A histogram's quantile over a time in which nothing came is not a number, which a reader sees as empty; so it is here.
"""

import math
import sys
import time
from collections.abc import Callable

import pytest

from tests.deploy.boards import Expression, expressions, filled
from tests.deploy.promql import Selector, read
from tests.deploy.rules import alerts, groups, records
from tests.live.expectations import PANELS_MAY_BE_EMPTY, SERIES_MAY_BE_EMPTY
from tests.live.prometheus import needs_prometheus
from tests.live.query import Client
from tests.live.world import LiveWorld
from tests.streams.worker.installation import PATIENCE_SECONDS, until

pytestmark = [pytest.mark.kafka, needs_prometheus, pytest.mark.timeout(300)]


def names(one: Expression) -> list[str]:
    """Under what an expression may be excused."""
    return [one.panel, f"{one.board}: {one.panel}", f"{one.board}: {one.panel}: {one.legend}"]


def has_data(client: Client, expression: str) -> bool:
    return any(not math.isnan(sample.value) for sample in client.query(expression))


def missing(world: LiveWorld, asked: dict[str, str]) -> dict[str, str]:
    """Those without data, each asked until it has had some: the load is not the same at every moment."""
    left, deadline = dict(asked), time.monotonic() + PATIENCE_SECONDS
    while left and time.monotonic() < deadline and not any(worker.died() for worker in world.workers):
        left = {name: expression for name, expression in left.items() if not has_data(world.query, expression)}
        time.sleep(world.plan.interval_seconds)
    return left


def test_every_panel_has_data(world: LiveWorld, tell: Callable[[str], None]) -> None:
    asked = {}
    for at, one in enumerate(expressions()):
        if any(name in PANELS_MAY_BE_EMPTY for name in names(one)):
            world.query.query(one.filled)
        else:
            asked[f"{at}: {names(one)[-1]}"] = one.filled
    assert missing(world, asked) == {}
    tell(f"{len(asked)} expressions of boards have data, {len(expressions()) - len(asked)} are excused")


def test_excuses_are_of_panels_that_there_are() -> None:
    assert set(PANELS_MAY_BE_EMPTY) <= {name for one in expressions() for name in names(one)}


def excused(expression: str) -> bool:
    return any(word in expression for word in SERIES_MAY_BE_EMPTY)


def test_every_recording_rule_gives_something(world: LiveWorld, tell: Callable[[str], None]) -> None:
    asked = records()
    assert missing(world, asked) == {}
    assert missing(world, {name: name for name in asked}) == {}, "they give something, and it is not recorded"
    tell(f"{len(asked)} recording rules have data")


def text_of(selector: Selector) -> str:
    matchers = ",".join(f'{label}{sign}"{value}"' for label, sign, value in selector.matchers)
    return f"{selector.metric}{{{matchers}}}"


def test_every_alert_looks_at_series_that_there_are(world: LiveWorld, tell: Callable[[str], None]) -> None:
    """Its expression is empty while all is well, so each series that it reads is asked for."""
    asked = {}
    for alert in alerts():
        world.query.query(alert.expr)
        for text in map(text_of, read(alert.expr).selectors):
            if not excused(text):
                asked[f"{alert}: {text}"] = text
    assert missing(world, asked) == {}
    tell(f"{len(alerts())} alerts look at {len(asked)} series that are there")


def test_prometheus_evaluates_every_rule(world: LiveWorld) -> None:
    wanted = sum(len(group["rules"]) for group in groups())
    until(lambda: all(one.health != "unknown" for one in world.query.rules()), "every rule ran", *world.workers)
    found = world.query.rules()
    assert len(found) == wanted
    assert {f"{one.name}: {one.error}" for one in found if one.health != "ok"} == set()


def test_an_expression_that_errs_is_noticed(world: LiveWorld) -> None:
    assert not has_data(world.query, filled('sum(rate(muse_no_such_total{job=~"$job"}[$__rate_interval]))'))
    assert not has_data(world.query, "vector(0) / 0")


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Say something that is seen even though output is captured."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return say
