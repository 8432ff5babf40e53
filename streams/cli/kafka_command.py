"""`muse-stream kafka`: the embedded broker in the foreground."""

import signal
from pathlib import Path
from types import FrameType

import click

from muse_stream.streams.cli.common import CommandError, example, print_json, settings_options
from muse_stream.streams.kafka.embedded import EmbeddedKafka


@click.command(epilog=example("muse-stream kafka --port 9092 --dir .muse/kafka"))
@click.option("--port", default=9092, show_default=True, help="Port of the plain listener on 127.0.0.1; 0: a free one.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".muse/kafka"),
    show_default=True,
    help="Where the cluster lives; it is there again at the next start.",
)
@click.option("--json", "as_json", is_flag=True, help="Print address, process id and log file as one JSON object.")
@settings_options
def command(port: int, directory: Path, as_json: bool) -> None:
    """Run a real Apache Kafka, one node, until Ctrl-C; the first start fetches it (about 44 MB)."""
    kafka = EmbeddedKafka(directory, port=port or None, report=lambda line: click.echo(line, err=True))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with kafka:
            _announce(kafka, as_json)
            status = kafka.wait()
    except KeyboardInterrupt:
        click.echo("Kafka: stopped", err=True)
        return
    message = f"Kafka ended by itself with status {status}; its log is {kafka.log_path}"
    raise CommandError(message)


def _announce(kafka: EmbeddedKafka, as_json: bool) -> None:
    if as_json:
        print_json({"bootstrap": kafka.bootstrap, "pid": kafka.pid, "log": str(kafka.log_path)})
    else:
        click.echo(f"Kafka runs at {kafka.bootstrap}; log {kafka.log_path}; Ctrl-C stops it")
        click.echo(f"next: muse-stream topics create --brokers {kafka.bootstrap}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
