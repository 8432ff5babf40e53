"""`muse-stream bench NAME`: benchmarks, each a module of its own in the benchmarks folder.

A benchmark is a module `muse_stream.benchmarks.NAME_bench` with a click command called `command`; with `--json` its
last line is one object with `rows`.
"""

from importlib import import_module, util
from importlib.resources import files

import click

from muse_stream.streams.cli.common import CommandError, example

PACKAGE = "muse_stream.benchmarks"
SUFFIX = "_bench"


class Benchmarks(click.Group):
    """The benchmarks that are there, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the benchmarks, and `all`."""
        if util.find_spec(PACKAGE) is None:
            return []
        names = (entry.name.removesuffix(".py") for entry in files(PACKAGE).iterdir() if entry.name.endswith(".py"))
        return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one benchmark."""
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            command: click.Command = import_module(f"{PACKAGE}.{cmd_name}{SUFFIX}").command
        except ImportError as error:
            message = f"benchmark {cmd_name} needs {error.name}: install muse-stream[bench], or run make bench-env"
            raise CommandError(message) from error
        return command


@click.group(cls=Benchmarks, epilog=example("muse-stream bench ingest --json"))
def command() -> None:
    """Measure this machine, beside other libraries where they are installed."""
