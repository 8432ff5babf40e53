"""The objectives as the rules in `deploy/prometheus/rules` have them, and how much of each error budget is left."""

from deploy.dashboards.promql import per_second

FAST_SECONDS, FRESH_SECONDS, CANARY_SECONDS = 0.1, 1.0, 2.0
"""Good are answers below the first, behaviours below the second, canaries below the third: bounds of buckets."""
OBJECTIVES = {"availability": 0.999, "latency": 0.99, "freshness": 0.99, "canary": 0.99}
"""Service level indicator to the share that has to be good."""


def budget_left(sli: str, window: str) -> str:
    """What of the budget is left: 1 all of it, 0 nothing, below 0 the objective is missed."""
    return f'1 - (1 - min (job:{sli}:ratio_rate{window}{{job=~"$job"}})) / (1 - max (muse:{sli}:objective))'


def good_per_second() -> str:
    """Answers that are no fault of ours."""
    return per_second("muse_requests_total", 'outcome=~"ok|prefetched|malformed|too_large"')
