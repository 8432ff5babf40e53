"""What boards ask Prometheus: series that exist, put together over workers, in words that Prometheus takes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy.boards import VARIABLES, Expression, expressions
from tests.deploy.known import FOREIGN, TARGET, problems, recorded, series
from tests.deploy.promql import read
from tests.deploy.promtool import needs_promtool, promtool

Problems = dict[str, list[str]]
"""Board and panel, to what is wrong there."""


def wrong(look: Callable[[Expression], list[str]]) -> Problems:
    """Look at every expression; what is found by where it stands."""
    found: Problems = {}
    for one in expressions():
        if problem := look(one):
            found.setdefault(f"{one.board}: {one.panel}", []).extend(problem)
    return found


def test_everything_that_is_read_exists() -> None:
    assert wrong(lambda one: problems(one.text)) == {}


def test_everything_is_put_together_over_workers() -> None:
    assert wrong(lambda one: [each.metric for each in read(one.text).selectors if not each.aggregated]) == {}


def unchosen(expression: Expression) -> list[str]:
    if expression.panel.startswith("choice"):
        return []
    chosen = {(label, "=~", f"${label}") for label in TARGET}
    own = [one for one in read(expression.text).selectors if one.metric in series() and "_verify_" not in one.metric]
    return [one.metric for one in own if not chosen <= set(one.matchers)]


def test_the_workers_are_those_that_the_reader_chose() -> None:
    assert wrong(unchosen) == {}


def test_a_rate_spans_what_grafana_says() -> None:
    """Except where the alert beside it counts over a time of its own."""
    own = {"Rebalances": "[15m]"}
    fixed = re.compile(r"\[\d+[smhd]\]|\$__interval")
    assert wrong(lambda one: [each for each in fixed.findall(one.text) if own.get(one.panel) != each]) == {}


def test_more_than_a_hundred_expressions_are_looked_at() -> None:
    assert len(expressions()) > 100


def test_series_that_are_no_metric_of_ours_are_few() -> None:
    read_by_boards = {one.metric for each in expressions() for one in read(each.text).selectors}
    foreign = {name for name in read_by_boards if not name.startswith("muse_")}
    assert foreign <= set(FOREIGN) | set(recorded())


@needs_promtool
def test_prometheus_takes_all_of_them(tmp_path: Path) -> None:
    made = [{"record": f"try:{at}", "expr": one.filled} for at, one in enumerate(expressions())]
    path = tmp_path / "boards.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": made}]}), encoding="utf-8")
    fine, said = promtool("check", "rules", "--lint=none", path)
    assert fine, said
    assert f"{len(made)} rules found" in said


def test_a_variable_that_nobody_fills_is_noticed() -> None:
    with pytest.raises(ValueError, match="not known"):
        _ = Expression("board", "panel", "sum(up) + $other").filled
    assert set(VARIABLES) >= {"$__rate_interval", "$job"}
