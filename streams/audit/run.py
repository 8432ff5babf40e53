"""One store from its directory to its report.

Invariant: an audit changes nothing: stores are opened for reading only, and the log is read without a group.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from muse_stream.state.moment import StoreReader
from muse_stream.streams.audit.beginning import Beginnings, NoBeginnings
from muse_stream.streams.audit.compare import Difference, compare_ends, compare_whole
from muse_stream.streams.audit.decoding import Contract, Record
from muse_stream.streams.audit.model import PartitionModel
from muse_stream.streams.audit.report import PartitionReport
from muse_stream.streams.audit.suffix import SuffixModel

Advance = Callable[[int, int], None]
"""Told of offsets read so far, and of how many there are to read."""


class LogSource(Protocol):
    """Where records come from: a cluster, or a test's list."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset that the log has, and the last stable one."""

    def records(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[Record]]:
        """The committed records with offsets in `[begin, end)`, in pieces."""


def audit_store(
    path: Path,
    log: LogSource,
    actions: Mapping[str, int],
    advance: Advance,
    beginnings: Beginnings | None = None,
) -> PartitionReport:
    """Compare the store in `path`, also one that a worker is writing, with the log up to the store's position.

    Args:
        path: The store.
        log: The log.
        actions: Names of actions with their codes.
        advance: Told of progress.
        beginnings: Where to begin if the log no longer reaches back to where the store did; None: nowhere.

    Raises:
        StoreOpenError: There is no readable store.
        SnapshotLocationError: The location of snapshots does not answer.
        KafkaError: The brokers cannot be reached.
        AuditError: The log stops giving before its end.

    """
    with closing(StoreReader.open(path)) as store:
        where = store.identity
        report = PartitionReport(where.partition, str(path), position=store.position)
        first, end = log.bounds(where.topic, where.partition)
        if store.position > end:
            text = f"the store stands at {store.position}, the log ends at {end}"
            report.add(Difference(where.partition, None, text))
            return report
        whole = first <= store.start_position
        with (beginnings if beginnings and not whole else NoBeginnings()).of(store, first) as beginning:
            if beginning:
                report.note = (
                    f"the log begins at {first}; what came before is that of the snapshot at {beginning.position}"
                )
            report.begin = beginning.position if beginning else max(first, store.start_position)
            if report.begin > store.position:
                report.note = f"the log begins at {first}, after the store's position {store.position}"
                return report
            model = _model(Contract(where.partition, where.partition_count, actions), store, beginning, whole=whole)
        _read(report, model, log.records(where.topic, where.partition, report.begin, store.position), advance)
        _compare(report, model, store, first)
        return report


def _model(contract: Contract, store: StoreReader, beginning: StoreReader | None, *, whole: bool) -> PartitionModel:
    if beginning:
        return PartitionModel.after(beginning, contract, store.rules[len(beginning.rules) :])
    return (PartitionModel if whole else SuffixModel)(contract, store.rules, store.undated_until)


def _read(report: PartitionReport, model: PartitionModel, pieces: Iterator[list[Record]], advance: Advance) -> None:
    report.counts = model.counts
    done = report.begin
    for records in pieces:
        for record in records:
            model.feed(record)
        done = records[-1].offset + 1 if records else done
        advance(done - report.begin, report.position - report.begin)
    model.finish(report.position)


def _compare(report: PartitionReport, model: PartitionModel, store: StoreReader, first: int) -> None:
    if isinstance(model, SuffixModel):
        report.compared = "end"
        report.note = f"the log begins at {first}, the store at {store.start_position}: what came between is not known"
        report.users = len(model.endings)
        differences = compare_ends(report.partition, model, store)
    else:
        report.compared = "snapshot" if report.begin > store.start_position else "whole"
        report.users = len(model.users)
        differences = compare_whole(report.partition, model, store)
    for difference in differences:
        report.add(difference)
