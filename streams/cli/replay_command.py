"""`muse-stream replay`: behaviours from a file, or the bundled purchases, into the behaviours topic."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from muse_stream.streams.cli.common import (
    example,
    is_terminal,
    json_option,
    load_settings,
    print_json,
    settings_options,
)
from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo import feed, source
from muse_stream.streams.demo.dataset import load
from muse_stream.streams.demo.feed import Records, Rows
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.settings import Settings

LINE_SECONDS = 2.0


@click.command(
    epilog=example("muse-stream replay --rate 1000", "muse-stream replay clicks.parquet --brokers localhost:9092")
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="Behaviours per second; default: full speed.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Stop after so many.")
@click.option("--catalogue/--no-catalogue", default=True, help="Bundled data: send products and customers first.")
@json_option
@settings_options
def command(file: Path | None, rate: float | None, limit: int | None, catalogue: bool, as_json: bool) -> None:
    """Send behaviours to Kafka, at a rate or at full speed.

    FILE is .parquet, .csv or .jsonl with the columns user, item, event_time_ms, action and optionally category and
    event_id. Without FILE the bundled purchases are sent (their event ids make a second replay harmless).
    """
    settings = load_settings()
    producer = open_producer(settings, client_id="muse-replay")
    try:
        total, rows = (
            (source.count_rows(file), source.read_rows(file)) if file else bundled(settings, producer, catalogue)
        )
        begun = time.monotonic()
        with progress(total if limit is None else min(total, limit)) as on_sent:
            batches = limited((feed.encode_rows(batch) for batch in rows), limit)
            sent = feed.replay(producer, settings.topics.behaviours, batches, rate=rate, on_sent=on_sent)
    finally:
        producer.close()
    seconds = time.monotonic() - begun
    result = {"topic": settings.topics.behaviours, "behaviours_sent": sent, "seconds": round(seconds, 3)}
    if as_json:
        print_json(result)
    else:
        click.echo(f"{sent:,} behaviours sent to {settings.topics.behaviours} in {seconds:.1f} s, all acknowledged")


def bundled(settings: Settings, producer: RecordProducer, catalogue: bool) -> tuple[int, Iterator[Rows]]:
    """The bundled purchases and their number; products and customers are sent first if asked for."""
    retail = load()
    if catalogue:
        feed.send_all(producer, settings.topics.items, feed.encode_items(retail.catalogue))
        feed.send_all(producer, settings.topics.users, feed.encode_customers(retail.customers))
        click.echo(f"{len(retail.catalogue)} products and {len(retail.customers.user)} customers sent", err=True)
    return len(retail.behaviours), iter([feed.purchases(retail.behaviours, retail.catalogue)])


def limited(batches: Iterator[Records], limit: int | None) -> Iterator[Records]:
    """The first `limit` records of the batches, all for None."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield Records(list(islice(batch.keys, left)), list(islice(batch.values, left)), batch.headers)
        left -= min(left, len(batch))
        if not left:
            return


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a replay has come: a bar with rate and time left, or a line now and then; to stderr."""
    if not is_terminal():
        yield lines(total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"), TimeRemainingColumn())
    begun = time.monotonic()
    with Progress(*columns) as bar:
        task = bar.add_task("replay", total=total, rate=0.0)
        yield lambda sent: bar.update(task, completed=sent, rate=sent / max(1e-9, time.monotonic() - begun))


def lines(total: int, clock: Callable[[], float] = time.monotonic) -> Callable[[int], None]:
    """Print progress every two seconds, with rate and time left."""
    begun = last = clock()

    def show(sent: int) -> None:
        nonlocal last
        now = clock()
        if now - last < LINE_SECONDS:
            return
        last = now
        rate = sent / (now - begun)
        left = max(0, total - sent) / rate
        click.echo(f"{sent:,} of {total:,} sent, {rate:,.0f}/s, {left:.0f} s left", err=True)

    return show
