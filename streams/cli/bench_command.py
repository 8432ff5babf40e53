"""`muse-stream bench NAME`: the benchmarks, each a module of the benchmarks folder with a function `run`.

`run()` measures and returns rows (`benchmarks.report.Row`); with a parameter `quick` it can be asked for a short look.
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


def names() -> list[str]:
    """The benchmarks that are there."""
    modules = (entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(".py"))
    return sorted(entry.name.removesuffix(".py") for entry in modules if _RUN.search(entry.read_text(encoding="utf-8")))


@click.command(epilog=example("muse-stream bench read", "muse-stream bench ingest --json", "muse-stream bench all"))
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help="A short look where the benchmark has one; its figures are rough.")
@json_option
def command(name: str | None, quick: bool, as_json: bool) -> None:
    """Run the benchmark NAME, or all of them, beside other libraries where they are installed.

    Without NAME: list them. With --json the last line is one object with `rows`.
    """
    known = names()
    if name is None:
        click.echo("\n".join(f"{one:<12} {summary(one)}" for one in known))
        return
    if name not in (*known, ALL):
        message = f"no benchmark {name!r}; there are {', '.join(known)}, and {ALL}"
        raise click.UsageError(message)
    rows = [row for one in (known if name == ALL else [name]) for row in measure(one, quick=quick)]
    import_module(f"{PACKAGE}.report").show(rows, as_json=as_json)


def summary(name: str) -> str:
    """First line of a benchmark's own description, read without importing it."""
    text = (files(PACKAGE) / f"{name}.py").read_text(encoding="utf-8")
    return text.lstrip('"').split("\n", 1)[0]


def measure(name: str, *, quick: bool) -> Sequence[Any]:
    """Rows of one benchmark. Raises `CommandError`: it needs a library that is not installed."""
    click.echo(f"{name}: measuring", err=True)
    try:
        run: Callable[..., Sequence[Any]] = import_module(f"{PACKAGE}.{name}").run
    except ModuleNotFoundError as error:
        message = f"benchmark {name} needs {error.name}; install muse-stream[bench], or run make bench-env"
        raise CommandError(message) from error
    return run(quick=True) if quick and "quick" in inspect.signature(run).parameters else run()
