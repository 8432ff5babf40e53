"""One engine per vector space in use: opened for the first bundle that needs it, closed when the last one has gone.

Invariant: an engine is told by ingest from before its first user until nobody can search with it any more. A bundle
that somebody holds keeps its engine open; two slots whose models are of one space share it.
"""

import logging
import threading
import weakref
from collections.abc import Callable, Mapping

from muse_stream.esu_scorer import ServedModel
from muse_stream.gsu_engine import EngineStats, GsuEngine, VectorTable
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.history_fan import HistoryFan
from muse_stream.streams.serving.live import Live
from muse_stream.streams.worker.swapping.columns import ModelColumns

log = logging.getLogger(__name__)


class _Open:
    """An engine and the bundles that have it."""

    def __init__(self, engine: GsuEngine) -> None:
        self.engine = engine
        self.bundles: list[weakref.ref[Live]] = []

    def is_used(self) -> bool:
        self.bundles = [bundle for bundle in self.bundles if bundle() is not None]
        return bool(self.bundles)


class Engines:
    """Makes bundles, and keeps the engines that they need. Thread-safe."""

    def __init__(
        self,
        tables: Mapping[str, VectorTable],
        catalogue: Catalogue,
        open_engine: Callable[[VectorTable], GsuEngine],
    ) -> None:
        """Prepare; no engine is open yet.

        Args:
            tables: Vectors by space.
            catalogue: Features of items, all that the settings collect.
            open_engine: Makes an engine on a table.

        """
        self.tables = tables
        self.fan = HistoryFan()
        self._catalogue, self._open_engine = catalogue, open_engine
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def bundle(self, model: ServedModel) -> Live:
        """Everything that answers with this model; opens its space's engine where it is not open.

        Raises:
            GsuError: There is no memory for the engine, or no device that the settings insist on.

        """
        space = model.info.space
        catalogue = ModelColumns(self._catalogue, model.info.spec)
        with self._lock:
            found = self._open.get(space) or self._begin(space)
            live = Live(space, found.engine, self.tables[space], catalogue, model)
            found.bundles.append(weakref.ref(live))
        return live

    def _begin(self, space: str) -> _Open:
        engine = self._open_engine(self.tables[space])
        self.fan.add(engine)
        self._open[space] = _Open(engine)
        return self._open[space]

    def engine(self, live: Live) -> GsuEngine:
        """The engine of a bundle that the caller holds."""
        with self._lock:
            return self._open[live.space].engine

    def close_unused(self) -> None:
        """Close every engine that no bundle has any more; call it once a bundle has gone."""
        with self._lock:
            unused = {space: one.engine for space, one in self._open.items() if not one.is_used()}
            for space, engine in unused.items():
                self.fan.remove(engine)
                engine.close()
                del self._open[space]
                log.info("space %s is not used any more: its engine is closed", space)

    def stats(self) -> list[EngineStats]:
        """Of every open engine."""
        with self._lock:
            engines = [one.engine for _, one in sorted(self._open.items())]
        return [engine.stats() for engine in engines]
