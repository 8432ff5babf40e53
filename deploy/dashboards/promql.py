"""The few forms of PromQL that the boards are made of.

Invariant: every expression aggregates over workers itself, so that a panel is right for one worker and for a hundred,
and selects the workers that the reader chose.
"""

WORKERS = 'job=~"$job",instance=~"$instance"'
"""Matches the workers that are chosen on top of the board."""


def series(metric: str, *matchers: str) -> str:
    """A metric of the chosen workers."""
    return f"{metric}{{{','.join((WORKERS, *matchers))}}}"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def total(metric: str, *matchers: str, by: str = "") -> str:
    """Sum of a gauge."""
    return f"sum{_by(by)} ({series(metric, *matchers)})"


def worst(metric: str, *matchers: str, by: str = "") -> str:
    """Largest of a gauge: an average would hide the one that suffers."""
    return f"max{_by(by)} ({series(metric, *matchers)})"


def least(metric: str, *matchers: str, by: str = "") -> str:
    """Smallest of a gauge, where small is bad."""
    return f"min{_by(by)} ({series(metric, *matchers)})"


def per_second(counter: str, *matchers: str, by: str = "") -> str:
    """Sum of a counter's rates."""
    return f"sum{_by(by)} (rate({series(counter, *matchers)}[$__rate_interval]))"


def busiest(counter: str, *matchers: str, by: str = "instance") -> str:
    """Largest of a counter's rates: of one that counts seconds it is a share of one thread's time."""
    return f"max{_by(by)} (rate({series(counter, *matchers)}[$__rate_interval]))"


def in_range(counter: str, *matchers: str, by: str = "") -> str:
    """How often something happened in what the board shows."""
    return f"sum{_by(by)} (increase({series(counter, *matchers)}[$__range]))"


def share(part: str, whole: str) -> str:
    """Part of a whole; nothing while there is no whole, instead of 0/0."""
    return f"{part} / ({whole} > 0)"


def share_of_all(parts: str, whole: str) -> str:
    """Several parts of one whole, each with its label."""
    return f"{parts} / on () group_left () ({whole} > 0)"


def mean(histogram: str, *matchers: str, by: str = "") -> str:
    """Mean of what a histogram saw."""
    return share(per_second(f"{histogram}_sum", *matchers, by=by), per_second(f"{histogram}_count", *matchers, by=by))


def quantile(point: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Quantile over all workers, out of their summed buckets: quantiles themselves cannot be averaged."""
    labels = f"le,{by}" if by else "le"
    return f"histogram_quantile({point}, {per_second(f'{histogram}_bucket', *matchers, by=labels)})"


def within(bound: str, histogram: str) -> str:
    """Share of what a histogram saw that is at most `bound`, one of its bounds as Prometheus writes it."""
    return share(per_second(f"{histogram}_bucket", f'le="{bound}"'), per_second(f"{histogram}_count"))


def buckets(histogram: str) -> str:
    """How many fell into each bucket per step: what a heat map wants."""
    return f"sum by (le) (increase({series(f'{histogram}_bucket')}[$__rate_interval]))"


def fullest(used: str, room: str) -> str:
    """Share of its room that the fullest worker uses; nothing where there is no room to use."""
    return f"max ({series(used)} / ({series(room)} > 0))"


def emptiest(left: str, room: str) -> str:
    """Share of its room that the worker with the least has left."""
    return f"min ({series(left)} / ({series(room)} > 0))"
