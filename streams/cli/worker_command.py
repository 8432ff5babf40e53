"""`muse-stream worker`: one worker in the foreground."""

import click

from muse_stream.streams.cli.common import example, load_settings, settings_options
from muse_stream.streams.worker import run


@click.command(epilog=example("muse-stream worker --config muse.yaml", "muse-stream worker --brokers localhost:9092"))
@click.option("--http-port", type=int, metavar="PORT", help="Port of the web server; 0: a free one.")
@settings_options
def command(http_port: int | None) -> None:
    """Run one worker until SIGTERM or Ctrl-C: ingest, retrieval, scoring, metrics.

    Workers with the same application name share the partitions; start as many as there are machines.
    """
    run(load_settings({"http.port": http_port}))
