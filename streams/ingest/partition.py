"""One partition that the service should have open: its role, its two cursors, or why it has stopped.

Invariant: `serving` is the role asked for; a cursor takes it only with the group's commit in hand, since rejects below
that have been dead-lettered by the owner before. Until then, and until readers see the log as it stood at the last
assignment, the partition is not ready.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field

from muse_stream.streams.ingest.checking import check_origin, require_partition
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import Store
from muse_stream.streams.ingest.questions import LogAnswers
from muse_stream.streams.ingest.retry import Retry
from muse_stream.streams.ingest.status import PartitionState, Phase, Stopped
from muse_stream.streams.ingest.stores import StoreMap


@dataclass(slots=True)
class OpenPartition:
    """Changed by the ingest thread; `state` and `position` from any thread."""

    number: int
    serving: bool = False
    cursors: list[Cursor] = field(default_factory=list)
    error: str | None = None
    stopped: Stopped | None = None
    retry: Retry = field(default_factory=Retry)
    restoring: "Future[bool] | None" = None  # since the assignment, or from before while it is under way

    def open(self, parts: PartitionParts, stores: StoreMap[Store], answers: LogAnswers) -> None:
        """Open what is not open, take the role, and make the logs' present ends the target.

        Raises:
            LogMismatchError: the log cannot continue the store.
            StoreOpenError: the directory cannot be used.

        """
        if self.error:
            return
        if not self.cursors:
            start = parts.start(self.number, answers)
            store = stores.open(self.number, lambda: parts.open_store(self.number, start))
            self.cursors = parts.cursors(self.number, store, answers)
        for cursor in self.cursors:
            facts = answers.topics.get(cursor.at.topic)
            cursor.origin = check_origin(cursor.at, cursor.origin, answers.cluster_id, facts)
            bounds = require_partition(cursor.at, answers.bounds, facts)
            cursor.aim(bounds.end)
            if self.serving:
                cursor.serve(answers.committed.get(cursor.at), bounds.begin)

    def restore(self, parts: PartitionParts, answers: LogAnswers, *, behind: bool = False) -> "Future[bool] | None":
        """Look for a snapshot where there is no store, or one that is `behind` the log; once per assignment.

        Returns:
            What to wait for before `open`; None: nothing.

        """
        if self.restoring is not None:
            return None if self.restoring.done() else self.restoring
        if parts.restores is None or self.cursors or not (behind or parts.restores.missing(self.number)):
            return None
        self.restoring = parts.restores.start(self.number, parts.bounds(self.number, answers))
        return self.restoring

    def stand_by(self) -> None:
        """Give up the owner's role."""
        self.serving = False
        for cursor in self.cursors:
            cursor.stand_by()

    def assigned(self, *, serving: bool) -> None:
        """Take part in a new assignment: what went wrong before is tried again."""
        self.serving = serving
        if self.restoring is not None and self.restoring.done():
            self.restoring = None
        self.try_again()

    def try_again(self) -> None:
        """Forget the failure; `open` is next."""
        self.error = None
        self.retry.begins()

    def fail(self, error: str, stopped: Stopped) -> None:
        """Stop, with the reason and the operator's action."""
        self.error, self.stopped, self.cursors = error, stopped, []

    @property
    def position(self) -> int | None:
        """Next behaviours offset that the store wants; -1 before it is open, None after a failure."""
        if self.error:
            return None
        return self.cursors[0].feed.position if self.cursors else -1

    def state(self, *, current: bool) -> PartitionState:
        """Plain reading; `current` says whether the targets are those of the last assignment."""
        logs = {cursor.at.topic: cursor.state() for cursor in self.cursors}
        stopped = self.stopped if self.error else None
        return PartitionState(self.number, self.serving, self._phase(current=current), logs, self.error, stopped)

    def _phase(self, *, current: bool) -> Phase:
        if self.error:
            return Phase.FAILED
        if not self.cursors:
            return Phase.OPENING
        caught_up = current and all(cursor.caught_up for cursor in self.cursors)
        return Phase.READY if caught_up else Phase.REPLAYING
