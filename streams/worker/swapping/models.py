"""Both slots of a worker with their keepers, the shadow, and what is shown of them.

Invariant: there is a model that answers from the first request on. What the control topic says counts over the
settings; where it cannot be loaded at the start, the settings' model answers until it can.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NoReturn

from muse_stream.esu_scorer import EsuError, ModelStore
from muse_stream.gsu_engine import rehearse as rehearse_kernels
from muse_stream.monitoring import Metrics, ModelReading
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker import model
from muse_stream.streams.worker.data_plane import DataPlane
from muse_stream.streams.worker.swapping.attempt import Means
from muse_stream.streams.worker.swapping.checks import Expected, check_info, check_scores
from muse_stream.streams.worker.swapping.coverage import coverage
from muse_stream.streams.worker.swapping.keeper import Keeper
from muse_stream.streams.worker.swapping.rehearsal import Captured
from muse_stream.streams.worker.swapping.shadow import Shadow
from muse_stream.streams.worker.swapping.slot import Slot
from muse_stream.streams.worker.swapping.target import Fetch, RefusedError, SlotName, Target

log = logging.getLogger(__name__)

SHADOW_THREADS = 1
"""Of a shadow's pass: it takes what is idle, and leaves the other cores to the passes that somebody waits for."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What models are served with.

    Attributes:
        settings: The settings.
        plane: Stores, tables, engines, and the slot that answers.
        parts: Of the pipeline that answers.
        store: Where models that are activated come from; None: they stay as configured.

    """

    settings: Settings
    plane: DataPlane
    parts: Parts
    store: ModelStore | None


class Models:
    """The models of one worker. `want` and readings from any thread."""

    def __init__(self, around: Surroundings, metrics: Metrics, waiting: Callable[[], int]) -> None:
        """Prepare; nothing serves before `begin`.

        Args:
            around: What models are served with.
            metrics: Counts.
            waiting: Requests that wait for a pass: while there are any, the shadow takes none.

        """
        self._settings, self._plane = around.settings, around.plane
        self.live, self.shadow = around.plane.serving, Slot("shadow")
        self.changed: Callable[[], None] = lambda: None
        self._captured = Captured()
        self._means = self._make_means(around)
        alone = replace(self._means, load=partial(model.from_directory, self._settings, threads=SHADOW_THREADS))
        self._keepers: Mapping[SlotName, Keeper] = {
            slot.name: Keeper(slot, means, metrics.reloads, lambda: self.changed())  # noqa: PLW0108 - set later
            for slot, means in ((self.live, self._means), (self.shadow, alone))
        }
        self._shadow = Shadow(self.shadow, Pipeline(around.parts), metrics.shadow, waiting)

    def _make_means(self, around: Surroundings) -> Means:
        settings, plane = around.settings, around.plane
        engine = settings.engine
        fetch: Fetch = _no_store
        if around.store:
            fetch = around.store.fetch

        @cache
        def warm_kernels(dimension: int) -> None:
            rehearse_kernels(engine.backend, engine.threads or None, dimension, settings.serving.k)

        return Means(
            fetch=fetch,
            load=partial(model.from_directory, settings),
            expected=Expected.of(settings),
            engines=plane.engines,
            parts=around.parts,
            stores=plane.ingest.stores,
            served=lambda: plane.live,
            captured=self._captured,
            coverage_min=settings.model.coverage_min,
            warm_kernels=warm_kernels,
        )

    def begin(self, target: Target | None) -> None:
        """Load the first model: the one activated, where there is one and it can be used, else that of the settings.

        Raises:
            EsuError: The settings' model cannot be used.
            RefusedError: It reads what the settings do not collect.

        """
        if target is None or not self._begin_with(target):
            first = model.of_settings(self._settings)
            check_info(first.info, self._means.expected)
            check_scores(first)
            self.live.install(model.name_of(self._settings), self._means.engines.bundle(first))
        info = self.live.live.info
        if info:
            log.info("model %s (%s) is warm and answers in space %s", self._name(), info.digest, info.space)

    def _begin_with(self, target: Target) -> bool:
        means = self._means
        try:
            first = means.load(means.fetch(target.name, target.digest))
            check_info(first.info, means.expected, target.digest)
            check_scores(first)
            self.live.install(target.name, means.engines.bundle(first))
        except (RefusedError, EsuError, OSError) as error:
            log.error(
                "%s is activated and cannot be used (%s): the model of the settings answers, %s. It is tried again",
                *(target, error, model.name_of(self._settings)),
            )
            return False
        return True

    def _name(self) -> str:
        return self.live.running.name if self.live.running else ""

    def want(self, slot: SlotName, target: Target | None) -> None:
        """Let a slot have this from now on."""
        self._keepers[slot].want(target)

    def seen(self, asks: Sequence[Ask], answers: Sequence[Found | Exception]) -> None:
        """Take what a pass answered, for rehearsals and for the shadow; in the search thread."""
        self._captured.note(asks)
        self._shadow.offer(asks, answers)

    def start(self) -> None:
        """Begin to follow what is wanted."""
        for keeper in self._keepers.values():
            keeper.start()
        self._shadow.start()

    def close(self) -> None:
        """End the threads; what answers goes on."""
        for keeper in self._keepers.values():
            keeper.close()
        self._shadow.close()

    def readings(self) -> list[ModelReading]:
        """What monitoring shows of the slots that run something."""
        found = (slot.reading() for slot in (self.live, self.shadow))
        return [reading for reading in found if reading is not None]

    def refused(self) -> dict[str, bool]:
        """By slot: whether what was activated for it is refused here, and is not tried again."""
        slots = (self.live, self.shadow)
        return {slot.name: slot.refusal is not None and not slot.refusal.is_retried for slot in slots}

    def coverages(self) -> dict[str, float]:
        """Of every space: the share of the items with a vector in the served one that have one there."""
        tables = self._plane.tables
        served = tables[self._plane.space]
        return {space: coverage(served, table) for space, table in tables.items()}

    def shown(self) -> dict[str, Any]:
        """For the status document."""
        return {slot.name: _shown(slot) for slot in (self.live, self.shadow)}


def _shown(slot: Slot) -> dict[str, Any] | None:
    running, note = slot.running, slot.progress or slot.refusal
    if running is None:
        return {"note": str(note)} if note else None
    bundle: Live = running.live
    info = bundle.info
    return {
        "name": running.name,
        "version": info.version if info else "",
        "digest": info.digest if info else "",
        "space": bundle.space,
        "share": running.share,
        "loaded_at_ms": int(running.loaded_at_seconds * 1000),
        "note": str(note or ""),
    }


def _no_store(name: str, digest: str) -> NoReturn:
    message = f"{name} ({digest[:12]}) is wanted, and model.store is not set; set it for all workers and restart them"
    raise RefusedError(message)
