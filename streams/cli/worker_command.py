"""`muse-stream worker`: one worker in the foreground."""

import click

from muse_stream.streams.cli.common import example, load_settings, settings_options
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker import run


@click.command(epilog=example("muse-stream worker --config muse.yaml", "muse-stream worker --brokers localhost:9092"))
@click.option("--http-port", type=int, metavar="PORT", help="Port of the web server; 0: a free one.")
@settings_options
def command(http_port: int | None) -> None:
    """Run one worker until SIGTERM or Ctrl-C: ingest, retrieval, scoring, metrics.

    Workers with the same application name share the partitions; start as many as there are machines.
    """
    settings = with_port({"http.port": http_port})
    if settings.http.enabled:
        click.echo(f"web server: http://{settings.http.host}:{settings.http.port}", err=True)
    run(settings)


def with_port(flags: dict[str, object]) -> Settings:
    """The settings with a real port: Faust tells its peers where it listens before it does, so 0 would be told too."""
    settings = load_settings(flags)
    if settings.http.port:
        return settings
    (port,) = free_ports(1)
    return load_settings({"http.port": port})
