"""`muse-stream bench NAME`: the benchmarks, each a module of the benchmarks folder with a function `run`.

`run()` measures and returns rows (`benchmarks.report.Row`). Its keyword parameters of type bool, int, float and str are
the command's options, with what the docstring says of them; `quick`, where there is one, asks for a short look.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.resources import files
from typing import Any

import click

from muse_stream.streams.cli.common import CommandError, example, json_option

PACKAGE = "muse_stream.benchmarks"
ALL = "all"
_RUN = re.compile(r"^def run\(", re.MULTILINE)
_MEANING = re.compile(r"^    (\w+): (.*?)(?=\n {0,4}\S|\n\n|\Z)", re.MULTILINE | re.DOTALL)

Run = Callable[..., Sequence[Any]]


def names() -> list[str]:
    """The benchmarks that are there."""
    modules = (entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(".py"))
    return sorted(entry.name.removesuffix(".py") for entry in modules if _RUN.search(entry.read_text(encoding="utf-8")))


class Benchmarks(click.Group):
    """One command per benchmark, imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the benchmarks, and `all`."""
        return [*names(), ALL]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one benchmark and make its command."""
        if cmd_name == ALL:
            return _all
        return _command(cmd_name) if cmd_name in names() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; says which there are where there is none."""
        if args[0] not in self.list_commands(ctx):
            message = f"no benchmark {args[0]!r}; there are {', '.join(names())}, and {ALL}"
            raise click.UsageError(message)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the benchmarks with their first lines, importing none."""
        with formatter.section("Benchmarks"):
            formatter.write_dl([*((name, summary(name)) for name in names()), (ALL, "All of them, one by one.")])


def _command(name: str) -> click.Command:
    run = _run_of(name)

    def callback(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of many types
        _show(_measure(name, run, options), as_json=as_json)

    text, epilog = inspect.getdoc(inspect.getmodule(run)), example(f"muse-stream bench {name} --json")
    return json_option(click.Command(name, callback=callback, params=options_of(run), help=text, epilog=epilog))


@click.command(ALL, epilog=example("muse-stream bench all --quick"))
@click.option("--quick", is_flag=True, help="A short look where a benchmark has one; its figures are rough.")
@json_option
def _all(quick: bool, as_json: bool) -> None:
    """Run every benchmark, one by one."""
    rows: list[Any] = []
    for name in names():
        run = _run_of(name)
        options = {"quick": True} if quick and "quick" in inspect.signature(run).parameters else {}
        rows += _measure(name, run, options)
    _show(rows, as_json=as_json)


@click.group(
    cls=Benchmarks,
    invoke_without_command=True,
    epilog=example("muse-stream bench read", "muse-stream bench ingest --json", "muse-stream bench all --quick"),
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Measure this machine, beside other libraries where they are installed.

    Without a name: list the benchmarks. With --json the last line is one object with `rows`.
    """
    if ctx.invoked_subcommand is None:
        click.echo("\n".join(f"{one:<12} {summary(one)}" for one in names()))


def summary(name: str) -> str:
    """First line of a benchmark's own description, read without importing it."""
    text = (files(PACKAGE) / f"{name}.py").read_text(encoding="utf-8")
    return text.lstrip('"').split("\n", 1)[0]


def options_of(run: Run) -> list[click.Parameter]:
    """Options for the simple keyword parameters of `run`, with what its docstring says of them."""
    found: list[click.Parameter] = []
    meanings = {name: " ".join(text.split()) for name, text in _MEANING.findall(inspect.getdoc(run) or "")}
    for name, parameter in inspect.signature(run).parameters.items():
        default, flag, text = parameter.default, f"--{name.replace('_', '-')}", meanings.get(name)
        if isinstance(default, bool):
            found.append(click.Option([flag], is_flag=True, default=default, help=text))
        elif isinstance(default, int | float | str):
            found.append(click.Option([flag], type=type(default), default=default, show_default=True, help=text))
    return found


def _run_of(name: str) -> Run:
    """The function of one benchmark. Raises `CommandError`: it needs a library that is not installed."""
    try:
        run: Run = import_module(f"{PACKAGE}.{name}").run
    except ModuleNotFoundError as error:
        message = f"benchmark {name} needs {error.name}; install muse-stream[bench], or run make bench-env"
        raise CommandError(message) from error
    return run


def _measure(name: str, run: Run, options: dict[str, Any]) -> Sequence[Any]:
    click.echo(f"{name}: measuring", err=True)
    return run(**options)


def _show(rows: Sequence[Any], *, as_json: bool) -> None:
    import_module(f"{PACKAGE}.report").show(rows, as_json=as_json)
