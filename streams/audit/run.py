"""One store from its directory to its report.

Invariant: an audit changes nothing: stores are opened for reading only, and the log is read without a group.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from muse_stream.state.moment import StoreReader
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


def audit_store(path: Path, log: LogSource, actions: Mapping[str, int], advance: Advance) -> PartitionReport:
    """Compare the store in `path`, also one that a worker is writing, with the log up to the store's position.

    Raises:
        StoreOpenError: There is no readable store.
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
        report.begin = max(first, store.start_position)
        if report.begin > store.position:
            report.note = f"the log begins at {first}, after the store's position {store.position}"
            return report
        contract = Contract(where.partition, where.partition_count, actions)
        whole = first <= store.start_position
        model = (PartitionModel if whole else SuffixModel)(contract, store.rules, store.undated_until)
        report.counts = model.counts
        done = report.begin
        for records in log.records(where.topic, where.partition, report.begin, store.position):
            for record in records:
                model.feed(record)
            done = records[-1].offset + 1 if records else done
            advance(done - report.begin, store.position - report.begin)
        model.finish(store.position)
        _compare(report, model, store, first)
        return report


def _compare(report: PartitionReport, model: PartitionModel, store: StoreReader, first: int) -> None:
    if isinstance(model, SuffixModel):
        report.compared = "end"
        report.note = f"the log begins at {first}, the store at {store.start_position}: what came between is not known"
        report.users = len(model.endings)
        differences = compare_ends(report.partition, model, store)
    else:
        report.compared = "whole"
        report.users = len(model.users)
        differences = compare_whole(report.partition, model, store)
    for difference in differences:
        report.add(difference)
