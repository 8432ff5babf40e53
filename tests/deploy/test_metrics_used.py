"""A metric that no panel and no rule reads is seen by nobody; a name misspelt there is an alert that never fires."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from muse_stream.monitoring.catalogue import CATALOGUE, VERIFICATION
from tests.monitoring.unused import UNUSED

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"(?<![\w:])muse_[a-z0-9_]+(?![\w:])")
"""A metric; recorded series have colons in their names."""
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
ASKING = {"expr", "query"}
"""Fields of a dashboard that hold what is asked."""


@cache
def exported() -> dict[str, str]:
    """Every series that can be read, to the metric that it belongs to."""
    return {
        definition.name + suffix: definition.name
        for definition in (*CATALOGUE, *VERIFICATION)
        for suffix in SUFFIXES[definition.kind]
    }


@cache
def read_by_panels() -> frozenset[str]:
    boards = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    return frozenset(name for board in boards for name in names(json.loads(board.read_text(encoding="utf-8")), ASKING))


@cache
def read_by_rules() -> frozenset[str]:
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    return frozenset(
        name for file in files for name in names(yaml.safe_load(file.read_text(encoding="utf-8")), {"expr"})
    )


def names(node: Any, fields: set[str]) -> Iterator[str]:
    """Series of ours in the texts of these fields, at any depth."""
    if isinstance(node, list):
        for one in node:
            yield from names(one, fields)
    elif isinstance(node, dict):
        for field, value in node.items():
            if field in fields and isinstance(value, str):
                yield from NAME.findall(value)
            else:
                yield from names(value, fields)


def used() -> set[str]:
    return {exported()[name] for name in read_by_panels() | read_by_rules() if name in exported()}


def test_there_are_panels_and_rules() -> None:
    assert len(read_by_panels()) > 100
    assert len(read_by_rules()) > 20


def test_every_metric_is_read_by_a_panel_or_a_rule_or_says_why_not() -> None:
    assert set(exported().values()) - used() - set(UNUSED) == set()


def test_no_exception_is_needless() -> None:
    assert set(UNUSED) & used() == set()
    assert set(UNUSED) <= set(exported().values())
    assert all(reason.endswith(".") and len(reason.split()) > 3 for reason in UNUSED.values())


def test_everything_that_is_read_exists() -> None:
    assert (read_by_panels() | read_by_rules()) - set(exported()) == set()


def test_a_panel_at_any_depth_is_found() -> None:
    board = {"panels": [{"panels": [{"targets": [{"expr": "sum(rate(muse_a_total[1m])) / muse:b:c"}]}]}]}
    assert list(names(board, ASKING)) == ["muse_a_total"]
