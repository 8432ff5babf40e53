"""From requests that were answered while models were swapped to rows.

Invariant: every request counts, and one without a result ends the benchmark: a swap costs nobody an answer.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.serve_load import Fired
from muse_stream.benchmarks.serve_rows import SHARES
from muse_stream.benchmarks.serve_swap import Span, Swap, Turns

QUIET = "quiet, same run"


def swap_rows(case: str, fired: Sequence[Fired], turns: Turns) -> list[Row]:
    """Requests during swaps against those of the quiet times, how long a swap takes, memory.

    Args:
        case: Begins every row's name.
        fired: All requests, prefetches left out.
        turns: What was done meanwhile.

    Raises:
        RuntimeError: A request has no result, or no answer is of a model that was activated.

    """
    require_results(case, fired)
    during = _latencies_ms(fired, [swap.span for swap in turns.swaps])
    quiet = _latencies_ms(fired, turns.quiet)
    first_ms = [1e3 * first_answer_seconds(fired, swap) for swap in turns.swaps]
    memory = turns.memory
    return [
        *(
            lower_is_better(
                f"{case}: end to end {name}", _quantile(during, share), "ms", {QUIET: _quantile(quiet, share)}
            )
            for name, share in SHARES.items()
        ),
        Row(f"{case}: requests during swaps", len(during), "requests"),
        Row(f"{case}: failed requests", 0, "requests"),
        Row(f"{case}: to the first answer, median", float(np.median(first_ms)), "ms"),
        Row(f"{case}: to the first answer, longest", max(first_ms), "ms"),
        lower_is_better(f"{case}: worker at most", memory.most, "MiB", {"before": memory.before}),
        lower_is_better(f"{case}: worker after", memory.after, "MiB", {"before": memory.before}),
    ]


def require_results(case: str, fired: Sequence[Fired]) -> None:
    """Raise `RuntimeError` unless every request was answered with a result."""
    failed = [one.asked.answer for one in fired if not one.asked.scored]
    if failed:
        statuses = dict(Counter("no answer" if answer is None else str(answer.status) for answer in failed))
        message = f"{case}: {len(failed)} of {len(fired)} requests have no result, expected all: {statuses}"
        raise RuntimeError(message)


def first_answer_seconds(fired: Iterable[Fired], swap: Swap) -> float:
    """Seconds from an activation to having read the first answer that names its model. Raises `RuntimeError`: none."""
    begin = swap.span.begin_seconds
    read = [one.asked.read_seconds for one in fired if one.asked.read_seconds >= begin and _digest(one) == swap.digest]
    if not read:
        message = f"no answer names model {swap.digest[:12]}, which the worker says that it runs; look at its log"
        raise RuntimeError(message)
    return min(read) - begin


def _digest(fired: Fired) -> str:
    answer = fired.asked.answer
    return answer.model.digest if answer and answer.model else ""


def _latencies_ms(fired: Iterable[Fired], spans: Sequence[Span]) -> list[float]:
    return [one.latency_ms for one in fired if any(one.meant_seconds in span for span in spans)]


def _quantile(values_ms: Sequence[float], share: float) -> float:
    return float(np.quantile(values_ms, share))
