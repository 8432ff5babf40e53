"""What a verification reads, made out of the settings: the cluster's logs and the artefacts.

Invariant: nothing is changed: logs are read without a group; scratch stores lie in a temporary directory.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from muse_stream.esu_scorer import ModelStore, Scorer
from muse_stream.esu_scorer.errors import StoreDigestError, StoreIncompleteError
from muse_stream.streams.export.cluster import LogSetting, LogWorld, engine_of
from muse_stream.streams.export.tape import TapeReader
from muse_stream.streams.models.opening import open_store
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.models import Models, Shelf, Sources, unknown
from muse_stream.streams.verify.rebuild import Rebuilder, tables_of
from muse_stream.streams.worker.model import artefact_of, device_of, threads_of

log = logging.getLogger(__name__)


class VerifyWorld(LogWorld):
    """One sweep's world; `close` it.

    Attributes:
        tables: Items at the moment reached.
        rebuilder: Computes answers again.
        partitions: Those that the topics have.

    """

    def __init__(self, setting: LogSetting, models: Models, reader: TapeReader) -> None:
        settings = setting.settings
        self.tables = tables = tables_of(settings)
        super().__init__(setting, tables, reader)
        self.rebuilder = Rebuilder(tables, lambda space: engine_of(settings, tables.spaces[space]), models)
        self.partitions = range(settings.topics.partitions)


def shelf_of(settings: Settings, directories: Sequence[Path]) -> Shelf:
    """Artefacts of the directories; of the settings' path and model store where none is named, or the untrained model.

    Raises `StoreError`: the model store cannot be reached.
    """
    device, threads, path = device_of(settings), threads_of(settings), settings.model.path
    if directories:
        return Shelf(Sources(directories), device, threads)
    store = open_store(settings)
    sources = Sources([path] if path else [], partial(_fetched, store) if store else unknown)
    shelf = Shelf(sources, device, threads)
    if path is None:
        shelf.add(Scorer(artefact_of(settings), device, threads))
    return shelf


def _fetched(store: ModelStore, digest: str) -> Iterator[Path]:
    """Local directories of the models of the store that claim the digest."""
    for entry in store.entries():
        if entry.digest == digest:
            try:
                yield store.fetch(entry.name, digest)
            except (StoreDigestError, StoreIncompleteError) as error:
                log.warning("model %s of the store cannot be used: %s", entry.name, error)
