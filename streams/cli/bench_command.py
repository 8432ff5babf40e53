"""`muse-stream bench NAME`: benchmarks, each a module of the benchmarks folder with a function `run`.

`run` returns report rows; its keyword parameters of type bool, int, float or str become options. With `--json` the last
line is one object with `rows`.
"""

import inspect
from collections.abc import Callable
from importlib import import_module, util
from importlib.resources import files
from typing import Any

import click

from muse_stream.streams.cli.common import CommandError, example, json_option

PACKAGE = "muse_stream.benchmarks"
MARK = "\ndef run("


class Benchmarks(click.Group):
    """The benchmarks that are there, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the benchmarks."""
        if util.find_spec(PACKAGE) is None:
            return []
        sources = (entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(".py"))
        return sorted(source.name.removesuffix(".py") for source in sources if MARK in source.read_text())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one benchmark."""
        if cmd_name == "all":
            return click.Command("all", callback=self._run_all, params=[], help="Run every benchmark, as tables.")
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = import_module(f"{PACKAGE}.{cmd_name}")
        except ImportError as error:
            message = f"benchmark {cmd_name} needs {error.name}: install muse-stream[bench], or run make bench-env"
            raise CommandError(message) from error
        return _command(cmd_name, module.run, module.__doc__ or "")

    def _run_all(self) -> None:
        context = click.get_current_context()
        for name in self.list_commands(context):
            click.echo(f"\n{name}")
            found = self.get_command(context, name)
            if found is not None:
                context.invoke(found, as_json=False)


def _command(name: str, run: Callable[..., Any], text: str) -> click.Command:
    from muse_stream.benchmarks.report import show  # noqa: PLC0415 - not needed for help

    def callback(*, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of many types
        show(run(**options), as_json=as_json)

    return json_option(click.Command(name, callback=callback, params=_options(run), help=text))


def _options(run: Callable[..., Any]) -> list[click.Parameter]:
    """Options for the simple keyword parameters of `run`."""
    found: list[click.Parameter] = []
    for parameter in inspect.signature(run).parameters.values():
        default = parameter.default
        flag = f"--{parameter.name.replace('_', '-')}"
        if isinstance(default, bool):
            found.append(click.Option([flag], is_flag=True, default=default))
        elif isinstance(default, int | float | str):
            found.append(click.Option([flag], type=type(default), default=default, show_default=True))
    return found


@click.group(cls=Benchmarks, epilog=example("muse-stream bench ingest --json"))
def command() -> None:
    """Measure this machine, beside other libraries where they are installed."""
