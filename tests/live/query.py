"""What a Prometheus server is asked over its HTTP API, with nothing but the standard library.

Invariant: an answer that is no success is an error with the server's own words, never an empty result.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 10.0


class QueryError(Exception):
    """The server did not answer, or refused what it was asked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector: labels (the metric's name among them as `__name__`) and value."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is pending or firing; `labels` hold its severity and whatever else its rule says."""

    name: str
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the server runs it; `health` is "ok" unless its last evaluation failed with `error`."""

    group: str
    name: str
    kind: str
    expression: str
    health: str
    error: str


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is scraped; `health` is "up", "down" or "unknown"."""

    url: str
    labels: dict[str, str]
    health: str
    error: str


@dataclass(frozen=True, slots=True)
class Client:
    """A server's API; every call raises `QueryError` where there is no answer."""

    url: str

    def ready(self) -> bool:
        """Whether it says that it can be asked."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False

    def query(self, expression: str) -> list[Sample]:
        """An instant query, now; a scalar is one sample without labels."""
        data = self._get("query", query=expression)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str) -> float | None:
        """The one value of an expression that gives at most one; None where it gives nothing."""
        found = self.query(expression)
        if len(found) > 1:
            message = f"{expression} gives {len(found)} series, expected one; aggregate it"
            raise QueryError(message)
        return found[0].value if found else None

    def alerts(self) -> list[Alert]:
        """All that are pending or firing."""
        found = self._get("alerts")["alerts"]
        return [Alert(one["labels"]["alertname"], one["state"], one["labels"], one["annotations"]) for one in found]

    def firing(self) -> list[Alert]:
        """All that are firing."""
        return [one for one in self.alerts() if one.state == "firing"]

    def rules(self) -> list[Rule]:
        """All rules, in the order in which they are evaluated."""
        return [
            Rule(
                group["name"], rule["name"], rule["type"], rule["query"], rule["health"], str(rule.get("lastError", ""))
            )
            for group in self._get("rules")["groups"]
            for rule in group["rules"]
        ]

    def targets(self) -> list[Target]:
        """All that it scrapes."""
        found = self._get("targets", state="active")["activeTargets"]
        return [Target(one["scrapeUrl"], one["labels"], one["health"], one["lastError"]) for one in found]

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
                body = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            message = f"{url} answered {error.code}: {text}"
            raise QueryError(message) from error
        except (OSError, ValueError) as error:
            message = f"{url} gave no answer: {error}; does the server run?"
            raise QueryError(message) from error
        if body["status"] != "success":
            message = f"{url} said {body}"
            raise QueryError(message)
        return body["data"]
