"""The committed boards as Grafana reads them: panels, and every expression with its variables filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy/grafana/dashboards"
VARIABLES = {
    "$__rate_interval": "10s",
    "$__range": "1m",
    "$job": ".*",
    "$instance": ".*",
}
"""What stands for Grafana's variables: a rate needs a few scrapes, and those of a test are a second apart."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that a board asks Prometheus; `panel` is its title, or an annotation's name."""

    board: str
    panel: str
    text: str
    legend: str = ""

    @property
    def filled(self) -> str:
        """The expression as Grafana would send it."""
        return filled(self.text)


def filled(text: str) -> str:
    """Replace Grafana's variables. Raises ValueError: one is unknown."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    if "$" in text:
        message = f"{text} has a variable that is not known; known are {', '.join(VARIABLES)}"
        raise ValueError(message)
    return text


@cache
def boards() -> dict[str, dict[str, Any]]:
    """Every committed board by its file's name without ending."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels that show something: all but the titles of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@cache
def expressions() -> list[Expression]:
    """Every expression of every board, annotations and choices among them."""
    return list(_expressions())


def _expressions() -> Iterator[Expression]:
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Expression(name, panel["title"], target["expr"], target["legendFormat"])
        for annotation in board["annotations"]["list"]:
            yield Expression(name, f"annotation {annotation['name']}", annotation["expr"])
        for choice in board["templating"]["list"]:
            if choice["type"] == "query":
                yield Expression(name, f"choice {choice['name']}", _of_choice(choice["query"]))


def _of_choice(query: str) -> str:
    """What `label_values(selector, label)` looks at."""
    found = re.fullmatch(r"label_values\((?P<selector>.+), (?P<label>\w+)\)", query)
    if found is None:
        message = f"{query} is no label_values(selector, label)"
        raise ValueError(message)
    return f"count by ({found['label']}) ({found['selector']})"
