"""`muse-stream replay`: behaviours from a file, or the bundled purchases, into the behaviours topic."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from muse_stream.streams.cli.common import (
    example,
    json_option,
    load_settings,
    print_json,
    settings_options,
)
from muse_stream.streams.cli.progress import progress
from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo import feed, source
from muse_stream.streams.demo.dataset import load
from muse_stream.streams.demo.feed import Records, Rows
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.settings import Settings


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
        total = total if limit is None else min(total, limit)
        with progress("sent") as show:
            batches = limited((feed.encode_rows(batch) for batch in rows), limit)
            sent = feed.replay(
                producer, settings.topics.behaviours, batches, rate=rate, on_sent=lambda count: show(count, total)
            )
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
