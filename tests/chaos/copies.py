"""Audits of stores: of every worker's copies after each kill, stale ones included, and once more at the end.

After a kill, the dead worker's stores are copied as they lie, before it is started again; all others are read where
they are, beside the workers that write them. Both are compared with the model at their own position. At the end every
store is audited by `streams.audit` from the log's beginning.

Invariant: a copy that is behind is right, one that is ahead of the log or differs from it is not.
"""

import logging
import queue
import shutil
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from muse_stream.state.errors import StateError
from muse_stream.state.moment import StoreReader
from muse_stream.streams.audit.compare import Difference, compare_whole
from muse_stream.streams.audit.log import Log
from muse_stream.streams.audit.run import audit_store
from muse_stream.streams.settings import Settings
from tests.chaos.fleet import Fleet, Member, State
from tests.chaos.history import LogHistory

log = logging.getLogger(__name__)

QUEUE_MAX = 2
"""Kills whose audits may wait; beyond it the living copies are left out, and counted as left out."""
READ_SECONDS = 120.0
"""Kafka may be down, and an open transaction holds the log's end back for some seconds."""


@dataclass
class Audits:
    """What was compared.

    Attributes:
        copies: Stores compared.
        behaviours: Behaviours that they account for.
        left_out: Stores not compared after a kill, because earlier audits were still going on.
        unreadable: Stores that could not be opened after a kill: made at that very moment.
        differences: Where a store is not what the log says.

    """

    copies: int = 0
    behaviours: int = 0
    left_out: int = 0
    unreadable: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, path: Path, found: Difference) -> None:
        who = "" if found.user is None else f", user {found.user}"
        self.differences.append(f"{path}: partition {found.partition}{who}: {found.text}")


def compare(path: Path, history: LogHistory, audits: Audits) -> None:
    """Compare one store with the log. Raises StateError where it cannot be read."""
    with closing(StoreReader.open(path)) as store:
        number, position = store.identity.partition, store.position
        history.read({number: position}, READ_SECONDS)
        partition = history.partitions[number]
        if store.rules != history.rules:
            text = f"the store's rules are {store.rules}, expected {history.rules}"
            audits.differ(path, Difference(number, None, text))
            return
        model = partition.model(position)
        for difference in compare_whole(number, model, store):
            audits.differ(path, difference)
        audits.copies += 1
        audits.behaviours += model.counts.behaviours


class Auditor:
    """Compares copies in a thread of its own."""

    def __init__(self, fleet: Fleet, history: LogHistory, directory: Path) -> None:
        self.audits = Audits()
        self.failure: BaseException | None = None
        self._fleet, self._history, self._directory = fleet, history, directory
        self._work: queue.Queue[tuple[Path, list[Path]] | None] = queue.Queue()
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def killed(self, member: Member) -> None:
        """Audit all copies: those of `member`, which is dead, as they are now."""
        self._count += 1
        kept = self._directory / f"kill-{self._count}"
        for path in member.stores():
            shutil.copytree(path, kept / path.name)
        living = [path for other in self._fleet.members if other is not member for path in other.stores()]
        if self._work.qsize() >= QUEUE_MAX:
            self.audits.left_out += len(living)
            living = []
        self._work.put((kept, living))

    @property
    def waiting(self) -> int:
        """Kills whose audits have not begun."""
        return self._work.qsize()

    def stop(self) -> None:
        """Finish what waits. Raises what ended the thread."""
        self._work.put(None)
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while (work := self._work.get()) is not None:
                kept, living = work
                self._compare([*sorted(kept.glob("behaviours-*")), *living])
                if not self.audits.differences:
                    shutil.rmtree(kept, ignore_errors=True)
        except BaseException as error:
            self.failure = error

    def _compare(self, paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                compare(path, self._history, self.audits)
            except StateError as error:
                self.audits.unreadable += 1
                log.info("not readable at this moment: %s", error)


def audit_everything(settings: Settings, members: Sequence[Member], audits: Audits) -> None:
    """Audit every store of every worker from the log's beginning."""
    source = Log(settings.kafka.brokers, settings.kafka.security)
    with closing(source):
        for path in [path for member in members for path in member.stores()]:
            report = audit_store(path, source, settings.actions, lambda done, wanted: None)
            for difference in report.shown:
                audits.differ(path, difference)
            if report.compared != "whole":
                audits.differences.append(f"{path}: compared {report.compared}: {report.note}")
            audits.copies += 1
            audits.behaviours += report.counts.behaviours


def positions(members: Sequence[Member]) -> dict[int, int]:
    """The furthest position of any copy, by partition."""
    found: dict[int, int] = {}
    for path in [path for member in members for path in member.stores()]:
        with closing(StoreReader.open(path)) as store:
            found[store.identity.partition] = max(store.position, found.get(store.identity.partition, 0))
    return found


def running_urls(fleet: Fleet) -> list[str]:
    """Where running workers answer."""
    return [member.worker.url for member in fleet.of(State.RUNNING)]
