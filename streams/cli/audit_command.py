"""`muse-stream audit`: whether the stores, and a running worker's memory, hold what the log says."""

from pathlib import Path

import click

from muse_stream.streams.audit.report import AuditReport, PartitionReport
from muse_stream.streams.audit.show import show
from muse_stream.streams.audit.stores import audit_one, stores
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


def one_store(settings: Settings, path: Path, location: str | None) -> PartitionReport:
    """Audit one store, with progress; raises what `audit_one` does."""
    return audit_one(
        settings,
        path,
        location,
        progress=lambda name: progress(f"offsets of {name} read"),
        refused=lambda text: click.echo(text, err=True),
    )
