"""`muse-stream inspect USER`: what is stored about a user, from a running worker or from its stores on disk."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muse_stream.state.errors import StateError
from muse_stream.state.items import ItemStore
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    make_console,
    print_json,
    settings_options,
)
from muse_stream.streams.demo.http import get_json
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import key_of
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.worker.data_plane import ITEMS_DIRECTORY
from muse_stream.streams.worker.users import user_document

Titles = Callable[[NDArray[np.int64]], list[str | None]]


@click.command(
    epilog=example("muse-stream inspect 17850 --limit 5", "muse-stream inspect 17850 --data-dir .muse/state")
)
@click.argument("user")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000), help="Behaviours shown.")
@click.option("--url", metavar="URL", help="Base URL of a worker; default: the one of the settings.")
@json_option
@settings_options
def command(user: str, limit: int, url: str | None, as_json: bool) -> None:
    """Show profile, length and last behaviours of a USER, newest first.

    A running worker is asked; where none answers, the stores in the data directory are read. An id that begins with a
    minus sign goes behind two: `inspect -- -12748`.
    """
    settings = load_settings()
    base = url or f"http://{settings.http.host}:{settings.http.port}"
    document = from_worker(base, user, limit)
    if document is None:
        if url is not None:
            message = f"no worker answers at {url}; leave --url out to read the stores on this disk"
            raise CommandError(message)
        document = {"source": str(settings.state.directory), **from_disk(settings, user, limit)}
    if as_json:
        print_json(document)
    else:
        show(make_console(), document)


def from_worker(base: str, user: str, limit: int) -> dict[str, Any] | None:
    """The document of a running worker, None where nobody answers. Raises `CommandError`: it refused."""
    reply = get_json(f"{base}/v1/users/{quote(user, safe='')}/sequence?limit={limit}")
    if reply.status == 0:
        return None
    if reply.status != 200 or "error" in reply.body:
        detail = reply.body.get("detail") or reply.body.get("error") or f"HTTP status {reply.status}"
        message = f"{base} does not tell: {detail}"
        raise CommandError(message)
    return {"source": base, **reply.body}


def from_disk(settings: Settings, user: str, limit: int) -> dict[str, Any]:
    """The same document from the stores of a worker that does not run. Raises `CommandError`, `StateError`."""
    directory = settings.state.directory
    stores = sorted(directory.glob("behaviours-*"))
    if not stores:
        message = (
            f"no worker answers and {directory.resolve()} holds no stores; name the directory with --data-dir, or a "
            f"running worker with --url"
        )
        raise CommandError(message)
    with closing(StoreReader.open(stores[0])) as reader:
        count = reader.identity.partition_count
    partition = partition_of_key(key_of(user), count)
    path = directory / f"behaviours-{partition}"
    if path not in stores:
        message = f"user {user} belongs to partition {partition} of {count}, which {directory} has no store of"
        raise CommandError(message)
    with closing(StoreReader.open(path)) as reader:
        return user_document(
            user,
            partition,
            reader,
            titles=titles_of(directory / ITEMS_DIRECTORY, reader.identity, settings.topics.items),
            limit=limit,
            actions=settings.actions,
        )


def titles_of(path: Path, identity: StoreIdentity, topic: str) -> Titles:
    """Titles out of the item store beside the behaviours; none where it is not there or in use."""

    def titles(items: NDArray[np.int64]) -> list[str | None]:
        if not path.is_dir():
            return [None] * len(items)
        try:
            with closing(ItemStore.open(path, StoreIdentity(identity.cluster_id, topic, 0, 1))) as store:
                return store.titles(items)
        except StateError:
            return [None] * len(items)

    return titles


def show(console: Console, document: dict[str, Any]) -> None:
    """Print the document for people."""
    console.print(
        f"user {document['user']}: {document['history_length']:,} behaviours (positions from "
        f"{document['history_start']:,}), partition {document['partition']} at offset {document['position']:,}, from "
        f"{document['source']}",
        highlight=False,
        soft_wrap=True,
    )
    profile = ", ".join(f"{name}={value}" for name, value in document["profile"].items())
    console.print(f"profile: {profile or 'none'}", highlight=False)
    table = Table()
    for name in ("position", "when", "action", "item", "title", "category"):
        table.add_column(name, no_wrap=name != "title")
    for row in document["behaviours"]:
        moment = datetime.fromtimestamp(row["time_ms"] / 1e3, UTC).strftime("%Y-%m-%d %H:%M:%S")
        title = escape(row["title"] or "")
        table.add_row(str(row["position"]), moment, str(row["action"]), str(row["item"]), title, str(row["category"]))
    console.print(table)
