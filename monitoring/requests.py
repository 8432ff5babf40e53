"""Metrics of requests and of what was retrieved and scored for them.

Invariant: children are bound at the start; a request costs one counter, three histograms and one observation per stage
that it went through, all its candidates' scores and cosines one call each. They are counted beside those of others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import ArrayHistogram, HistogramFamily
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors, counter, counters
from muse_stream.monitoring.later import Folds

_Answered = tuple[str, float, Mapping[str, float], int | None, int | None]
_Passed = tuple[int, float, float]
_Retrieved = tuple[NDArray[np.floating], NDArray[np.integer], int]
"""As the methods below take them: a tuple is made faster than anything else."""


class RequestMetrics:
    """Rate, errors, duration; stages; sizes.

    Args:
        registry: Where they are exported.
        folds: Has counted later what is told.
        outcomes: All outcomes that an answer can have.

    """

    def __init__(self, registry: CollectorRegistry, folds: Folds, *, outcomes: Iterable[str]) -> None:
        self._outcomes = counters(registry, c.REQUESTS, [*map(str, outcomes), c.OTHER])
        self.duration = HistogramFamily(registry, c.REQUEST_DURATION).only
        stages = HistogramFamily(registry, c.REQUEST_STAGE, [(stage,) for stage in c.REQUEST_STAGES])
        self.stages: Mapping[str, ArrayHistogram] = {stage: series for (stage,), series in stages.series.items()}
        self._batch = HistogramFamily(registry, c.REQUEST_BATCH).only
        self._pass = HistogramFamily(registry, c.REQUEST_PASS).only
        self._predicted = counter(registry, c.REQUEST_PASS_PREDICTED)
        self._shed = counters(registry, c.REQUESTS_SHED, c.SHED_REASONS)
        self._overdue = counters(registry, c.REQUESTS_OVERDUE, c.OVERDUE_STAGES)
        self._stale = counter(registry, c.REQUESTS_STALE)
        self._left_out = counters(registry, c.REQUEST_LEFT_OUT, c.LEFT_OUT)
        self._candidates = HistogramFamily(registry, c.REQUEST_CANDIDATES).only
        self._history = HistogramFamily(registry, c.REQUEST_HISTORY).only
        self._later = folds.later(self._count)
        self._passes = folds.later(self._count_pass)
        for series in (self.duration, *self.stages.values()):
            series.before_reading = self._later.fold

    def answered(
        self,
        outcome: str,
        seconds: float,
        stages: Mapping[str, float] | None = None,
        *,
        candidates: int | None = None,
        history: int | None = None,
    ) -> None:
        """Count one answer.

        Args:
            outcome: One of the announced outcomes.
            seconds: From arrival to acknowledged answer.
            stages: Seconds per stage it went through; names from `REQUEST_STAGES`, others are left out.
            candidates: How many were asked about; None where that could not be read.
            history: Behaviours of the user; None where nothing was searched.

        """
        self._later.add((outcome, seconds, stages or {}, candidates, history))

    def _count(self, one: _Answered) -> None:
        outcome, seconds, stages, candidates, history = one
        self._outcomes.get((str(outcome),), self._outcomes[c.OTHER,]).inc()
        self.duration.observe(seconds)
        for stage, part in stages.items():
            if stage in self.stages:
                self.stages[stage].observe(part)
        if candidates is not None:
            self._candidates.observe(candidates)
        if history is not None:
            self._history.observe(history)

    def left_out(self, kinds: Iterable[str]) -> None:
        """Count what an answer came without, though it was asked for; kinds of `LEFT_OUT`."""
        for kind in kinds:
            self._left_out[kind,].inc()

    def stale(self) -> None:
        """Count an answer that was given from a copy that was not up to date."""
        self._stale.inc()

    def passed(self, requests: int, seconds: float, predicted_seconds: float) -> None:
        """Count one search and scoring pass that so many requests shared, what it took and what was predicted."""
        self._passes.add((requests, seconds, predicted_seconds))

    def _count_pass(self, one: _Passed) -> None:
        requests, seconds, predicted_seconds = one
        self._batch.observe(requests)
        self._pass.observe(seconds)
        self._predicted.inc(predicted_seconds)

    def shed(self, reason: str) -> None:
        """Count a request that was not computed; `reason` is one of `SHED_REASONS`."""
        self._shed[reason,].inc()

    def overdue(self, stage: str) -> None:
        """Count a request whose deadline passed; `stage` is one of `OVERDUE_STAGES`."""
        self._overdue[stage,].inc()


class QualityMetrics:
    """What came out: scores and the retrieval behind them."""

    def __init__(self, registry: CollectorRegistry, folds: Folds) -> None:
        self._score = HistogramFamily(registry, c.MODEL_SCORE).only
        self._nonfinite = counter(registry, c.MODEL_NONFINITE)
        self._cosine = HistogramFamily(registry, c.RETRIEVAL_COSINE).only
        self._found = HistogramFamily(registry, c.RETRIEVAL_FOUND).only
        self._candidates = counter(registry, c.RETRIEVAL_CANDIDATES)
        self._no_vector = counter(registry, c.RETRIEVAL_NO_VECTOR)
        self._scored = folds.later(self._count_scores)
        self._retrieved = folds.later(self._count_retrieval)

    def scored(self, scores: NDArray[np.floating]) -> None:
        """Count the probabilities `[T]` of one pass."""
        self._scored.add(scores, len(scores))

    def _count_scores(self, scores: NDArray[np.floating]) -> None:
        finite = np.isfinite(scores)
        if not finite.all():
            self._nonfinite.inc(int(len(scores) - finite.sum()))
            scores = scores[finite]
        self._score.observe_many(scores)

    def retrieved(self, cosines: NDArray[np.floating], counts: NDArray[np.integer], without_vector: int) -> None:
        """Count one request.

        Args:
            cosines: `[C, K]`, descending.
            counts: `[C]` how many of each row are results.
            without_vector: Candidates that have no vector.

        """
        self._retrieved.add((cosines, counts, without_vector), len(counts))

    def _count_retrieval(self, one: _Retrieved) -> None:
        cosines, counts, without_vector = one
        self._candidates.inc(len(counts))
        self._no_vector.inc(without_vector)
        self._found.observe_many(counts)
        if cosines.shape[1]:
            self._cosine.observe_many(cosines[counts > 0, 0])


def watch_requests(
    registry: CollectorRegistry,
    *,
    in_flight: Callable[[], int],
    queued: Callable[[], int],
    saturation: Callable[[], float],
    errors: ScrapeErrors,
) -> None:
    """Export how many requests are under way, how many of them wait, and how busy the search thread is."""

    def samples() -> Iterator[Sample]:
        yield c.REQUESTS_IN_FLIGHT, (), in_flight()
        yield c.REQUEST_QUEUE, (), queued()
        yield c.REQUEST_SATURATION, (), saturation()

    Scraped(registry, "requests", (c.REQUESTS_IN_FLIGHT, c.REQUEST_QUEUE, c.REQUEST_SATURATION), samples, errors)
