"""Rule files with shorter windows, so that a drill of minutes tries the very rules that are shipped.

Every range (`[5m]`), `offset`, `for` and evaluation interval is divided by one factor, and so are the seconds in
`30 * sum_over_time(...)`, which counts events by the rate of each evaluation. All else of an expression, names, labels
and thresholds, stays as it is. So `job:availability:ratio_rate1h` of a file shortened by 60 is a ratio over one minute.

    python -m deploy.prometheus.shorten --factor 20 --least 4 --into DIRECTORY deploy/prometheus/rules/*.yml
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
"""Prometheus's units of time; a year is 365 days there."""
_PART = r"\d+(?:ms|[smhdwy])"
_WINDOW = re.compile(rf"(?P<before>\[|:|\boffset\s+-?)(?P<time>(?:{_PART})+)(?=\]|:|\s|$|\))")
"""A range, the step of a subquery, or an offset."""
_WEIGHT = re.compile(r"\b(?P<seconds>\d+) \* (?=sum_over_time\()")
"""Seconds that each recorded rate stands for where rates are summed to a count: the evaluation interval."""


def milliseconds(time: str) -> int:
    """Length of a time as Prometheus writes it: `1h30m`. Raises ValueError: it is none."""
    if not re.fullmatch(rf"(?:{_PART})+", time):
        message = f"{time!r} is no time as Prometheus writes it; expected numbers with units, such as 5m or 1h30m"
        raise ValueError(message)
    return sum(int(number) * UNIT_MS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", time))


def shortened(text: str, factor: float, *, window_seconds_min: float = 0.0) -> str:
    """Return a rule file's text with all times divided.

    Args:
        text: The rule file, YAML.
        factor: Divides every time; at least 1.
        window_seconds_min: No range becomes shorter: a rate needs two scrapes within it, so use four of their
            intervals. `for` and evaluation intervals are not held up by it.

    Raises:
        ValueError: The factor is below 1, or a time of the file is none.

    """
    if factor < 1:
        message = f"the factor is {factor}, expected 1 or more: times are divided by it"
        raise ValueError(message)

    def window(found: re.Match[str]) -> str:
        least_ms = 0.0 if "offset" in found["before"] else window_seconds_min * 1e3
        return found["before"] + _divided(found["time"], factor, least_ms)

    document: dict[str, Any] = yaml.safe_load(text)
    for group in document["groups"]:
        if "interval" in group:
            group["interval"] = _divided(group["interval"], factor)
        for rule in group["rules"]:
            expression = _WINDOW.sub(window, str(rule["expr"]))
            rule["expr"] = _WEIGHT.sub(lambda found: f"{int(found['seconds']) / factor:g} * ", expression)
            if "for" in rule:
                rule["for"] = _divided(rule["for"], factor)
    shorter: str = yaml.safe_dump(document, sort_keys=False, width=1_000)
    return shorter


def _divided(time: str, factor: float, least_ms: float = 1.0) -> str:
    whole_ms = milliseconds(time)
    return f"{round(min(whole_ms, max(whole_ms / factor, least_ms)))}ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write shortened copies of rule files into a directory."""
    parser = argparse.ArgumentParser(description="Rule files with every window divided by a factor.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--factor", type=float, required=True)
    parser.add_argument("--least", type=float, default=0.0, help="seconds that no window falls below")
    parser.add_argument("--into", type=Path, required=True)
    given = parser.parse_args(arguments)
    given.into.mkdir(parents=True, exist_ok=True)
    for path in given.files:
        text = path.read_text(encoding="utf-8")
        shorter = shortened(text, given.factor, window_seconds_min=given.least)
        (given.into / path.name).write_text(shorter, encoding="utf-8")


if __name__ == "__main__":
    main()
