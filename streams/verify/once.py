"""One verification of everything that the logs have: read, replay, compare, report.

Invariant: the ends of the logs are read in the order scores, requests, then the others, so that whatever an answer was
computed from lies before them.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import msgspec

from muse_stream.streams.export.cluster import Cluster, LogSetting, open_reader
from muse_stream.streams.export.items import ItemsPast
from muse_stream.streams.export.tape import Tape, TapeReader, Tapes
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.compare import Verdict
from muse_stream.streams.verify.exchanges import request_rules
from muse_stream.streams.verify.ledger import Bodies, Ledger, Wanted, bodies_in, fill
from muse_stream.streams.verify.models import Models
from muse_stream.streams.verify.offline import verify
from muse_stream.streams.verify.report import Mismatch, Report
from muse_stream.streams.verify.world import VerifyWorld

Told = Callable[[int, int], None]


@contextmanager
def nobody(what: str) -> Iterator[Told]:
    """Shows no progress."""
    del what
    yield lambda done, total: None


@dataclass(frozen=True, slots=True)
class Shows:
    """Who is told of what.

    Attributes:
        progress: Shows how far something is, for a `with` block.
        mismatches: Takes every mismatch, a line of JSON each.

    """

    progress: Callable[[str], AbstractContextManager[Told]] = nobody
    mismatches: TextIO | None = None


@dataclass(slots=True)
class Run:
    """One verification over one connection.

    Attributes:
        settings: Name the cluster, topics, rules and memory.
        models: The model of a digest.
        wanted: Which answers.
        reader: Reads logs.

    """

    settings: Settings
    models: Models
    wanted: Wanted
    reader: TapeReader
    _items: list[ItemsPast] = field(default_factory=list)

    def report(self, cluster: Cluster, directory: Path, shows: Shows) -> Report:
        """Read everything, and compare; raises what `verify` does."""
        begun, report = time.monotonic(), Report()
        with bodies_in(directory) as file:
            ledger = Ledger(Bodies(file), request_rules(self.settings))
            with shows.progress("records read") as told:
                self._fill(ledger, told)
            report.not_computed = {status.value: count for status, count in sorted(ledger.statuses.items())}
            report.unreadable, report.skipped = ledger.unreadable, ledger.skipped
            report.answers = len(ledger) + ledger.skipped + sum(ledger.statuses.values())
            if len(ledger):
                with shows.progress("answers compared") as told:
                    self._compare(ledger, cluster, report, shows.mismatches, told)
        report.vectors_without_room = max((items.refused for items in self._items), default=0)
        report.finish(time.monotonic() - begun)
        return report

    def _fill(self, ledger: Ledger, told: Told) -> None:
        done, total = 0, 0

        def tapes(topic: str) -> Iterator[Tape]:
            nonlocal total
            for number in range(self.settings.topics.partitions):
                one = Tapes(self.reader, [(topic, number)])
                total += one.total()
                yield one[topic, number]

        def read(records: int) -> None:
            nonlocal done
            done += records
            told(done, total)

        topics = self.settings.topics
        fill(ledger, tapes(topics.scores), tapes(topics.requests), self.wanted, read)

    def _compare(self, ledger: Ledger, cluster: Cluster, report: Report, file: TextIO | None, told: Told) -> None:
        here = range(self.settings.topics.partitions)
        needed = tuple(sorted({number for number in ledger.partition.tolist() if number in here}))
        setting = LogSetting(self.settings, cluster, "log", needed)

        def open_world() -> VerifyWorld:
            world = VerifyWorld(setting, self.models, self.reader)
            self._items.append(world.items)
            return world

        for found in verify(ledger, open_world):
            if isinstance(found, Verdict):
                _write(report.add(found), file)
            else:
                report.left_out(found)
            told(report.computed, len(ledger))


def _write(found: list[Mismatch], file: TextIO | None) -> None:
    if file is not None:
        file.writelines(msgspec.json.encode(one).decode() + "\n" for one in found)


def verify_once(settings: Settings, models: Models, wanted: Wanted, shows: Shows) -> Report:
    """Verify what the settings' cluster has.

    Raises:
        ExportError: A log stops giving before its end.
        KafkaError, StateError: The brokers, or a scratch store, do not do as they should.

    """
    with closing(open_reader(settings)) as reader, tempfile.TemporaryDirectory(prefix="muse-verify-") as scratch:
        return Run(settings, models, wanted, reader).report(Cluster.ask(settings), Path(scratch), shows)
