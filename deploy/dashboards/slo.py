"""The objectives as the rules in `deploy/prometheus/rules` have them, and how much of each error budget is left."""

FAST_SECONDS, FRESH_SECONDS, CANARY_SECONDS = 0.1, 1.0, 2.0
"""Good are answers below the first, behaviours below the second, canaries below the third: bounds of buckets."""
OBJECTIVES = {"availability": 0.999, "latency": 0.99, "freshness": 0.99, "canary": 0.99}
"""Service level indicator to the share that has to be good; for lines, as thresholds cannot be queries."""


def ratio(sli: str, window: str) -> str:
    """Share of good events over one of the windows that are recorded; nothing without traffic."""
    return f'min (job:{sli}:ratio_rate{window}{{job=~"$job"}})'


def budget_left(sli: str, window: str) -> str:
    """What of the budget is left: 1 all of it, 0 nothing, below 0 the objective is missed."""
    return f"1 - (1 - {ratio(sli, window)}) / (1 - max (muse:{sli}:objective))"
