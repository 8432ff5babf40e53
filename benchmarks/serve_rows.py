"""From requests that were answered and a metrics page read twice to rows.

Invariant: no request is left out of a quantile because it was slow or was refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from muse_stream.benchmarks import serve_page as page
from muse_stream.benchmarks.report import Row
from muse_stream.benchmarks.serve_load import Case, Fired
from muse_stream.benchmarks.serve_page import Between

SHARES = {"p50": 0.5, "p99": 0.99}
ANSWER_STAGES = ("queue", "state_read", "gsu", "features", "esu")
PAGE_STAGES = ("produce",)  # ends after the answer was written
AROUND = "Kafka, clients, event loop"
BOUNDS_MS = {10_000: 25.0, 100_000: 55.0}
"""Goals for the p99 of a request, end to end, by the length of the histories (benchmarks/README.md)."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One case as the worker and the machine saw it: the page read before and after, CPU of all cores in percent."""

    between: Between
    machine_percent: float


def latency_rows(case: str, fired: Sequence[Fired]) -> list[Row]:
    """End to end, then by stage of those that were answered with a result: p50 and p99 each, in milliseconds."""
    if not fired:
        return []
    rows = _quantiles(f"{case}: end to end", [one.latency_ms for one in fired])
    answered = [one for one in fired if one.asked.scored]
    stages = [one.asked.answer.stages_ms if one.asked.answer else {} for one in answered]
    for stage in ANSWER_STAGES:
        rows += _quantiles(f"{case}: {stage}", [times[stage] for times in stages if stage in times])
    around = [one.latency_ms - sum(times.values()) for one, times in zip(answered, stages, strict=True)]
    rows += _quantiles(f"{case}: {AROUND}", around)
    without = 100 * (len(fired) - len(answered)) / len(fired)
    return [*rows, Row(f"{case}: without a result", without, "% of requests")]


def p99_ms(fired: Sequence[Fired]) -> float:
    """The 99th percentile of all requests, those without a result at the longest wait."""
    return float(np.quantile([one.latency_ms for one in fired], SHARES["p99"]))


def highest_rates(found: Mapping[Case, float]) -> list[Row]:
    """Per history length with a goal and state of users the highest measured rate up to which every p99 is within it.

    Args:
        found: p99 of each case in milliseconds.

    """
    rows = []
    for length, state in dict.fromkeys((case.length, case.state) for case in found if case.length in BOUNDS_MS):
        bound, highest = BOUNDS_MS[length], 0.0
        for case in sorted((case for case in found if (case.length, case.state) == (length, state)), key=_rate):
            if found[case] > bound:
                break
            highest = case.rate
        name = f"history {length}, {state}: highest rate measured with a p99 within {bound:g} ms"
        rows.append(Row(name, highest, "requests/s"))
    return rows


def _rate(case: Case) -> float:
    return case.rate


def worker_rows(case: str, watched: Watched, requests: int = 0) -> list[Row]:
    """What the metrics page says: request times, freshness, loads per request, CPU, behaviours that arrived."""
    between = watched.between
    rows = _page_quantiles(f"{case}: in the worker", between, page.REQUEST)
    for stage in PAGE_STAGES:
        rows += _page_quantiles(f"{case}: {stage}", between, page.STAGE, stage)
    rows += _page_quantiles(f"{case}: freshness", between, page.FRESHNESS)
    if requests:
        loads = between.grown(page.MISSES) / requests
        rows.append(Row(f"{case}: histories loaded", loads, "per request"))
    arrived = between.grown(page.ROWS, "behaviours") / between.seconds
    return [
        *rows,
        Row(f"{case}: behaviours stored", arrived, "behaviours/s"),
        Row(f"{case}: CPU of the worker", 100 * between.grown(page.CPU) / between.seconds, "% of a core"),
        Row(f"{case}: CPU of the machine", watched.machine_percent, "% of all cores"),
    ]


def _quantiles(case: str, values_ms: Sequence[float]) -> list[Row]:
    if not values_ms:
        return []
    return [Row(f"{case} {name}", float(np.quantile(values_ms, share)), "ms") for name, share in SHARES.items()]


def _page_quantiles(case: str, between: Between, metric: str, label: str = "") -> list[Row]:
    found = {name: between.quantile_ms(metric, share, label) for name, share in SHARES.items()}
    return [Row(f"{case} {name}", value, "ms") for name, value in found.items() if value is not None]
