"""The shipped rules as objects, and the parts of them that one alert needs."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from muse_stream.monitoring.catalogue import CATALOGUE, VERIFICATION, Definition

ROOT = Path(__file__).resolve().parent.parent.parent
DIRECTORY = ROOT / "deploy" / "prometheus" / "rules"
FILES = tuple(DIRECTORY / f"{name}.yml" for name in ("recording", "slo", "causes"))
RUNBOOKS = ROOT / "docs" / "runbooks"
RECORDED = re.compile(r"\b(?:job|muse):[a-z_]+:[a-z0-9_]+")
"""What a recording rule of ours is called."""


@dataclass(frozen=True)
class Alert:
    """An alerting rule."""

    name: str
    expr: str
    lasting: str
    labels: dict[str, str]
    annotations: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}-{self.labels['severity']}"


@cache
def groups() -> tuple[dict[str, Any], ...]:
    """Every group of the three files."""
    return tuple(group for path in FILES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"])


def alerts() -> list[Alert]:
    return [
        Alert(rule["alert"], rule["expr"], rule.get("for", "0s"), rule["labels"], rule["annotations"])
        for group in groups()
        for rule in group["rules"]
        if "alert" in rule
    ]


def names() -> list[str]:
    """Each alert's name once; a page and a ticket may share one."""
    return list(dict.fromkeys(alert.name for alert in alerts()))


def records() -> dict[str, str]:
    """Expression by name of every recording rule."""
    return {rule["record"]: str(rule["expr"]) for group in groups() for rule in group["rules"] if "record" in rule}


def catalogue() -> tuple[Definition, ...]:
    """Every metric that something of ours exports."""
    return (*CATALOGUE, *VERIFICATION)


def only(alert: str) -> dict[str, Any]:
    """A rule file with one alert, and what it reads of the recording rules."""
    expressions = [str(rule["expr"]) for group in groups() for rule in group["rules"] if rule.get("alert") == alert]
    wanted = set(_read(expressions))
    return {"groups": [{**group, "rules": kept} for group in groups() if (kept := _kept(group, alert, wanted))]}


def _kept(group: dict[str, Any], alert: str, wanted: set[str]) -> list[dict[str, Any]]:
    return [rule for rule in group["rules"] if rule.get("alert") == alert or rule.get("record") in wanted]


def _read(expressions: Iterable[str]) -> Iterator[str]:
    for expression in expressions:
        for name in RECORDED.findall(expression):
            yield name
            yield from _read([records()[name]])
