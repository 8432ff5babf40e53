"""`muse-stream snapshot`: make, show, check and restore snapshots; all but `save` without a worker and Kafka."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from muse_stream.state.errors import StateError
from muse_stream.state.snapshot_keeping import needed_from
from muse_stream.state.snapshot_location import Snapshot, SnapshotLocation, partitions
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.snapshots import fetch, verify
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
from muse_stream.streams.cli.snapshot_save import save_all
from muse_stream.streams.settings import Settings

MEGABYTE = 1_000_000

location_option = click.option(
    "--location", metavar="LOCATION", help="Path or URL of the snapshots; default: the one of the settings."
)
partition_option = click.option(
    "--partition", "wanted", type=click.IntRange(0), multiple=True, help="Only this one; repeatable."
)
name_option = click.option(
    "--name", metavar="NAME", help="The snapshot of that name; default: the latest complete one."
)


@click.group(epilog=example("muse-stream snapshot list --location s3://bucket/muse"))
def command() -> None:
    """Make, show, check and restore snapshots of the stores."""


@command.command(
    epilog=example("muse-stream snapshot save", "muse-stream snapshot save --url http://worker-1:6066 --partition 3")
)
@click.option("--url", metavar="URL", help="Base URL of a worker; default: the one of the settings.")
@partition_option
@json_option
@settings_options
def save(url: str | None, wanted: tuple[int, ...], as_json: bool) -> None:
    """Have a running worker make snapshots of its partitions now; waits until they are made."""
    settings = load_settings()
    base = (url or f"http://{settings.http.host}:{settings.http.port}").rstrip("/")
    with progress("MB read and sent") as show_progress:
        made = save_all(base, wanted, show_progress)
    if as_json:
        print_json({"ok": all(one["error"] is None for one in made), "partitions": made})
    else:
        for one in made:
            click.echo(f"partition {one['partition']}: {outcome(one)}")
    if any(one["error"] for one in made):
        raise click.exceptions.Exit(1)


@command.command(
    "list", epilog=example("muse-stream snapshot list --location /backup/muse", "muse-stream snapshot list --json")
)
@location_option
@partition_option
@json_option
@settings_options
def list_(location: str | None, wanted: tuple[int, ...], as_json: bool) -> None:
    """Show what is there, and from which offset on the log is needed.

    The log may be trimmed below the oldest complete snapshot of each partition: every snapshot shown can then still be
    continued. The exit code is 1 where something is damaged.
    """
    found = [(place, place.snapshots()) for place in places(load_settings(), location, wanted)]
    if as_json:
        print_json({"partitions": [document(place, snapshots) for place, snapshots in found]})
    else:
        table = Table()
        for name in ("partition", "snapshot", "offset", "made (UTC)", "bytes", "state"):
            table.add_column(
                name, justify="right" if name in {"partition", "offset", "bytes"} else "left", no_wrap=True
            )
        for place, snapshots in found:
            for one in snapshots:
                table.add_row(str(place.partition), *row(one))
        console = make_console()
        console.print(table)
        for place, snapshots in found:
            console.print(advice(place, snapshots), highlight=False, soft_wrap=True)
    if any(one.state in {"incomplete", "damaged"} for _, snapshots in found for one in snapshots):
        raise click.exceptions.Exit(1)


@command.command("verify", epilog=example("muse-stream snapshot verify --location s3://bucket/muse --partition 3"))
@location_option
@partition_option
@name_option
@json_option
@settings_options
def verify_(location: str | None, wanted: tuple[int, ...], name: str | None, as_json: bool) -> None:
    """Read every file of the latest snapshots and compare it with its checksum; nothing is stored.

    The exit code is 1 where one is damaged.
    """
    results: list[dict[str, Any]] = []
    for place in places(load_settings(), location, wanted):
        manifest, error = None, None
        try:
            manifest = chosen(place, name)
            with progress(f"MB of partition {place.partition} checked") as show_progress:
                verify(manifest, place, lambda done, total: show_progress(done // MEGABYTE, total // MEGABYTE))
        except StateError as found:
            error = str(found)
        results.append(result(place, manifest, error))
    _end(results, as_json=as_json, what="every byte is as it was written")


@command.command(
    epilog=example(
        "muse-stream snapshot restore --location s3://bucket/muse --data-dir /var/lib/muse-stream",
        "muse-stream snapshot restore --partition 3 --name 0000000000000123456-0123456789abcdef",
    )
)
@location_option
@partition_option
@name_option
@json_option
@settings_options
def restore(location: str | None, wanted: tuple[int, ...], name: str | None, as_json: bool) -> None:
    """Restore the latest snapshots into the data directory of a worker that is stopped.

    Each file is checked, each store is opened once and compared with its manifest, and only then it gets its name. A
    store that is there is never overwritten: move it away first. The worker then reads the log on from there, after it
    has checked that it is the same log.
    """
    settings = load_settings()
    results: list[dict[str, Any]] = []
    for place in places(settings, location, wanted):
        manifest, error = None, None
        into = settings.state.directory / f"behaviours-{place.partition}"
        try:
            manifest = chosen(place, name)
            restore_one(manifest, place, into)
        except StateError as found:
            error = str(found)
        results.append({**result(place, manifest, error), "path": str(into)})
    _end(results, as_json=as_json, what="restored")


def restore_one(manifest: Manifest, place: SnapshotLocation, into: Path) -> None:
    """Fetch one, with progress."""
    with progress(f"MB of partition {place.partition} restored") as show_progress:
        fetch(manifest, place, into, lambda done, total: show_progress(done // MEGABYTE, total // MEGABYTE))


def places(settings: Settings, location: str | None, wanted: tuple[int, ...]) -> list[SnapshotLocation]:
    """The partitions of the topic that have snapshots. Raises `CommandError` where there are none."""
    url, topic = location or settings.snapshots.location, settings.topics.behaviours
    if url is None:
        message = "no location of snapshots; name it with --location, or set snapshots.location"
        raise CommandError(message)
    there = [number for name, number in partitions(url) if name == topic]
    missing = sorted(set(wanted) - set(there))
    if missing or not there:
        what = f"partition {missing[0]}" if missing else "any partition"
        message = f"{url} has no snapshots of {what} of topic {topic!r}; look at --location and topics.prefix"
        raise CommandError(message)
    return [SnapshotLocation(url, topic, number) for number in (sorted(set(wanted)) or there)]


def chosen(place: SnapshotLocation, name: str | None) -> Manifest:
    """The named one, or the latest complete one. Raises `CommandError`: there is none."""
    if name is not None:
        return place.manifest(name)
    for one in place.snapshots():
        if one.state == "complete" and one.manifest:
            return one.manifest
    message = f"{place.url}: there is no complete snapshot"
    raise CommandError(message)


def result(place: SnapshotLocation, manifest: Manifest | None, error: str | None) -> dict[str, Any]:
    """What became of one partition."""
    return {
        "partition": place.partition,
        "ok": error is None,
        "name": manifest.name if manifest else None,
        "position": manifest.position if manifest else None,
        "bytes": manifest.total_bytes if manifest else None,
        "error": error,
    }


def document(place: SnapshotLocation, snapshots: list[Snapshot]) -> dict[str, Any]:
    """One partition for `--json`."""
    return {
        "topic": place.topic,
        "partition": place.partition,
        "needed_from": _needed(snapshots),
        "snapshots": [
            {"name": one.name, "state": one.state, "problem": one.problem, **_plain(one.manifest)} for one in snapshots
        ],
    }


def outcome(one: dict[str, Any]) -> str:
    """What a worker says of a snapshot that it was asked for."""
    if one["error"] or one["latest"] is None:
        return one["error"] or "nothing is stored yet"
    return f"{one['latest']} at offset {one['position']:,}, {one['total']:,} bytes, {one['sent']:,} of them new"


def row(one: Snapshot) -> Iterator[str]:
    """One snapshot for the table."""
    yield one.name
    if one.manifest:
        made = datetime.fromtimestamp(one.manifest.created_ms / 1e3, UTC)
        yield from (f"{one.manifest.position:,}", f"{made:%Y-%m-%d %H:%M:%S}", f"{one.manifest.total_bytes:,}")
    else:
        yield from ("", "", "")
    yield one.state


def advice(place: SnapshotLocation, snapshots: list[Snapshot]) -> str:
    """From where on the log is needed."""
    needed = _needed(snapshots)
    if needed is None:
        return f"partition {place.partition}: no complete snapshot; the whole log is needed"
    return f"partition {place.partition}: the log is needed from offset {needed} on"


def _needed(snapshots: list[Snapshot]) -> int | None:
    """By the snapshots of the log that the latest one is of: those of a log that is gone ask for nothing."""
    latest = next((one.manifest for one in snapshots if one.manifest and one.state == "complete"), None)
    return needed_from(snapshots, latest.identity) if latest else None


def _plain(manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {}
    return {
        "position": manifest.position,
        "users_position": manifest.users_position,
        "created_ms": manifest.created_ms,
        "bytes": manifest.total_bytes,
        "identity": asdict(manifest.identity),
        "tool": manifest.tool,
    }


def _end(results: list[dict[str, Any]], *, as_json: bool, what: str) -> None:
    if as_json:
        print_json({"ok": all(one["ok"] for one in results), "partitions": results})
    else:
        for one in results:
            text = one["error"] or f"{one['name']} at offset {one['position']:,}, {one['bytes']:,} bytes: {what}"
            click.echo(f"partition {one['partition']}: {text}")
    if not all(one["ok"] for one in results):
        raise click.exceptions.Exit(1)
