"""`muse-stream audit`: whether the stores, and a running worker's memory, hold what the log says."""

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muse_stream.state.moment import StoreReader
from muse_stream.streams.audit.beginning import SnapshotBeginnings
from muse_stream.streams.audit.log import Log
from muse_stream.streams.audit.report import SHOWN, AuditReport, MemoryReport, PartitionReport
from muse_stream.streams.audit.run import audit_store
from muse_stream.streams.audit.worker import audit_memory
from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    make_console,
    print_json,
    settings_options,
)
from muse_stream.streams.cli.progress import progress
from muse_stream.streams.clients import open_admin
from muse_stream.streams.kafka.admin import cluster_id
from muse_stream.streams.settings import Settings


@click.command(epilog=example("muse-stream audit", "muse-stream audit --data-dir /var/lib/muse-stream --json"))
@click.option("--partition", "wanted", type=click.IntRange(0), multiple=True, help="Only this one; repeatable.")
@click.option("--url", metavar="URL", help="Base URL of a worker; default: the one of the settings.")
@click.option(
    "--snapshots",
    "location",
    metavar="LOCATION",
    help="Snapshots to begin with where the log no longer reaches back; default: the location of the settings.",
)
@click.option("--memory/--no-memory", default=True, help="Ask a running worker for what it has in memory.")
@json_option
@settings_options
def command(wanted: tuple[int, ...], url: str | None, location: str | None, memory: bool, as_json: bool) -> None:
    """Compare every stored behaviour and its number with the log, read and counted by other means than the worker's.

    Stores are read where they lie, also while a worker writes them. The exit code is 1 on any difference, and where a
    store could not be compared.
    """
    settings = load_settings()
    report = AuditReport()
    for path in stores(settings.state.directory, wanted):
        report.partitions.append(one_store(settings, path, location or settings.snapshots.location))
    if memory:
        report.memory = audit_memory(url or f"http://{settings.http.host}:{settings.http.port}")
        if report.memory is None and url is not None:
            message = f"no worker answers at {url}; leave --url out to compare the stores alone"
            raise CommandError(message)
    if as_json:
        print_json(report.document())
    else:
        show(make_console(), report)
    if not report.ok:
        raise click.exceptions.Exit(1)


def stores(directory: Path, wanted: tuple[int, ...]) -> list[Path]:
    """The store directories, by partition. Raises `CommandError` where there are none."""
    found = {int(path.name.removeprefix("behaviours-")): path for path in directory.glob("behaviours-*")}
    missing = [number for number in wanted if number not in found]
    if missing or not found:
        what = f"no store of partition {missing[0]}" if missing else "no stores"
        message = f"{directory.resolve()} holds {what}; name the directory of a worker with --data-dir"
        raise CommandError(message)
    return [path for number, path in sorted(found.items()) if number in (wanted or found)]


def one_store(settings: Settings, path: Path, location: str | None) -> PartitionReport:
    """Audit one store, with progress. Raises `CommandError` for one of another cluster, and what `audit_store` does."""
    with closing(StoreReader.open(path)) as reader:
        identity = reader.identity
    with open_admin(settings) as admin:
        cluster = cluster_id(admin)
    if identity.cluster_id != cluster:
        found = f"{path} was built from cluster {identity.cluster_id}, {settings.kafka.brokers} is {cluster}"
        message = f"{found}; name its brokers with --brokers"
        raise CommandError(message)
    log = Log(settings.kafka.brokers, settings.kafka.security)
    try:
        with progress(f"offsets of {path.name} read") as show_progress:
            beginnings = SnapshotBeginnings(location) if location else None
            report = audit_store(path, log, settings.actions, show_progress, beginnings)
    finally:
        log.close()
    for refused in beginnings.refused if beginnings else ():
        click.echo(f"partition {report.partition}: snapshot refused: {refused}", err=True)
    return report


def show(console: Console, report: AuditReport) -> None:
    """Print the report for people."""
    table = Table()
    names = ("partition", "compared", "to offset", "users", "behaviours", "dropped", "rejected", "differences")
    for name in names:
        table.add_column(name, justify="left" if name == "compared" else "right")
    for one in report.partitions:
        counts = one.counts
        numbers = (one.position, one.users, counts.behaviours, counts.duplicates, counts.rejected, one.differences)
        table.add_row(str(one.partition), one.how, *(f"{number:,}" for number in numbers))
    console.print(table)
    for one in report.partitions:
        if one.note:
            console.print(f"partition {one.partition}: {escape(one.note)}", highlight=False)
    if report.memory:
        console.print(memory_line(report.memory), highlight=False, soft_wrap=True)
    for line in differences(report)[:SHOWN]:
        console.print(escape(line), highlight=False, soft_wrap=True)
    document = report.document()
    verdict = "equal" if report.ok else f"{document['differences']:,} differences"
    text = f"{verdict}: {document['lost']:,} lost, {document['doubled']:,} doubled, of {document['behaviours']:,}"
    console.print(f"{text} behaviours of {document['users']:,} users", highlight=False)


def memory_line(memory: MemoryReport) -> str:
    """What was compared in a worker's memory."""
    text = f"{memory.url}: {memory.users:,} resident users with {memory.behaviours:,} behaviours"
    return f"{text} ({memory.behind:,} behind), {memory.vectors:,} vectors ({memory.without_room:,} without room)"


def differences(report: AuditReport) -> list[str]:
    """The first differences, a line each."""
    found = [
        f"partition {one.partition}" + (f", user {one.user}" if one.user is not None else "") + f": {one.text}"
        for store in report.partitions
        for one in store.shown
    ]
    return found + (report.memory.shown if report.memory else [])
