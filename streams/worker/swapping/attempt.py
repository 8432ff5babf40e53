"""From a target to a bundle that could answer now: fetched, loaded beside what runs, checked, filled, warmed.

Invariant: nothing that serves is touched here. Whoever made the attempt decides what becomes of the bundle; where it is
let go, its model and, if nobody else uses it, its engine go with it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Parts
from muse_stream.streams.worker.swapping.checks import Expected, check_info
from muse_stream.streams.worker.swapping.coverage import coverage
from muse_stream.streams.worker.swapping.engines import Engines
from muse_stream.streams.worker.swapping.moving import Stores, move_residents
from muse_stream.streams.worker.swapping.rehearsal import Captured, rehearse
from muse_stream.streams.worker.swapping.target import Fetch, Load, Progress, Step, SupersededError, Target

log = logging.getLogger(__name__)

COVERAGE_LOOK_SECONDS = 1.0
"""Vectors come with the item log, thousands a second."""


@dataclass(frozen=True, slots=True)
class Means:
    """What attempts work with.

    Attributes:
        fetch: From the store to the local disk.
        load: From the local disk to memory.
        expected: What the settings collect.
        engines: Makes bundles.
        parts: Of the pipeline that answers.
        stores: Where residents are read from.
        served: The bundle that answers: coverage is of what has vectors in its space.
        captured: Requests to warm up with.
        coverage_min: Share of the served items that must have a vector in a new space.
        warm_kernels: Prepares searches in vectors of a dimension; does it once.

    """

    fetch: Fetch
    load: Load
    expected: Expected
    engines: Engines
    parts: Parts
    stores: Stores
    served: Callable[[], Live]
    captured: Captured
    coverage_min: float
    warm_kernels: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One target on its way.

    Attributes:
        means: What it works with.
        target: What is wanted.
        pause: Waits so many seconds; False: somebody wants something else.
        show: Told how far it is.

    """

    means: Means
    target: Target
    pause: Callable[[float], bool]
    show: Callable[[Progress], None]

    def run(self, *, answers: bool) -> Live:
        """Bring it to where it can answer.

        Args:
            answers: Whether it is to answer, so that it is worth to load the residents.

        Raises:
            RefusedError: It is not what this worker can serve.
            EsuError: It cannot be used, or does not score.
            GsuError: There is no engine for its space.
            OSError: The location cannot be reached.
            SupersededError: Something else is wanted.

        """
        self._at("fetching")
        path = self.means.fetch(self.target.name, self.target.digest)
        self._at("checking")
        model = self.means.load(path)
        check_info(model.info, self.means.expected, self.target.digest)
        served = self.means.served()
        if model.info.space != served.space:
            self.means.warm_kernels(self.means.engines.tables[model.info.space].dimension)
        live = self.means.engines.bundle(model)
        if live.engine is not served.engine:
            self._fill(served.space, live.space)
        self._at("warming")
        scored = rehearse(live, self.means.parts, self.means.captured.asks(), self._rest)
        if answers and live.engine is not served.engine:
            self._move(served, live)
        self._require_wanted()
        log.info("%s has scored %d requests of the last while and is warm", self.target, scored)
        return live

    def _fill(self, served: str, space: str) -> None:
        """Wait until enough of what is served has vectors in the space."""
        tables = self.means.engines.tables
        logged = False
        while (share := coverage(tables[served], tables[space])) < self.means.coverage_min:
            if not logged:
                log.warning(
                    "%s waits: %.1f %% of the items served have a vector in space %s, model.coverage_min is %.1f %%; "
                    "write the other vectors to the items topic",
                    *(self.target, share * 100, space, self.means.coverage_min * 100),
                )
                logged = True
            self._at("filling", share)
            self._rest(COVERAGE_LOOK_SECONDS)

    def _move(self, served: Live, live: Live) -> None:
        engines = self.means.engines
        moved = move_residents(engines.engine(served), engines.engine(live), self.means.stores, lambda: self.pause(0.0))
        log.info("%d resident users are loaded into space %s", moved, live.space)

    def _at(self, step: Step, share: float | None = None) -> None:
        self._require_wanted()
        self.show(Progress(self.target, step, share))

    def _require_wanted(self) -> None:
        self._rest(0.0)

    def _rest(self, seconds: float) -> None:
        if not self.pause(seconds):
            raise SupersededError
