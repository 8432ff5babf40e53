"""Metrics that no panel and no rule reads, each with the reason why it is exported all the same."""

UNUSED: dict[str, str] = {}
"""Name of the metric to a sentence. `tests/deploy/test_metrics_used.py` keeps it as short as it can be."""
