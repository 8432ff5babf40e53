"""What the commands that train share: which data, which sizes, training settings, and how far it has come."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from muse_stream.esu_scorer.models import SIZES, Sizes
from muse_stream.esu_scorer.training import Progress, TrainingConfig
from muse_stream.gsu_engine.backends import NAMES as BACKENDS
from muse_stream.streams.cli.common import is_terminal
from muse_stream.streams.cli.progress import LINE_SECONDS
from muse_stream.streams.learning.retrieval import EngineMaker
from muse_stream.streams.learning.sources import NAMES, open_data

F = TypeVar("F", bound=Callable[..., Any])
Told = Callable[[str, Progress], None]
_MEANING = re.compile(r"^    (\w+): (.*?)(?=\n {4}\w+:|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class DataFlags:
    """Which data set."""

    data: str
    path: Path | None
    options: dict[str, str]

    def open(self) -> Any:  # noqa: ANN401 - a Source
        """Open it. Raises `DataError`."""
        return open_data(self.data, self.path, self.options)


def data_options(function: F) -> F:
    """Add `--data NAME [PATH]` and `--data-option`."""
    options = [
        click.option("--data", type=click.Choice(NAMES), default=NAMES[0], show_default=True, help="Data set."),
        click.argument("path", required=False, type=click.Path(exists=True, path_type=Path)),
        click.option(
            "--data-option",
            "data_options",
            multiple=True,
            metavar="KEY=VALUE",
            help="How the data is made; planted: users, length, samples, dial (0..1), seed; "
            "online-retail: negatives, smoothing, seed. Repeatable.",
        ),
    ]
    return _with(options, function)


def size_options(function: F) -> F:
    """Add `--k`, `--recent`, `--length`."""
    options = [
        click.option(
            "--k", type=click.IntRange(1, 1_000), default=SIZES.k, show_default=True, help="K, behaviours retrieved."
        ),
        click.option(
            "--recent",
            type=click.IntRange(1, 1_000),
            default=SIZES.recent,
            show_default=True,
            help="R, newest behaviours.",
        ),
        click.option(
            "--length",
            type=click.IntRange(1),
            default=SIZES.length,
            show_default=True,
            help="Newest behaviours that are searched.",
        ),
    ]
    return _with(options, function)


def training_options(function: F) -> F:
    """Add a flag for each setting of `TrainingConfig`, and the engine's `--backend`."""
    meanings = {name: " ".join(text.split()) for name, text in _MEANING.findall(inspect.getdoc(TrainingConfig) or "")}
    options = [
        click.option(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            show_default=True,
            help=meanings[field.name],
        )
        for field in msgspec.structs.fields(TrainingConfig)
    ]
    backend = click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="auto",
        show_default=True,
        help="Of the engine that retrieves.",
    )
    return _with([*options, backend], function)


def taken(flags: dict[str, Any]) -> tuple[DataFlags, Sizes, TrainingConfig, EngineMaker]:
    """What all these flags say; those that are taken are removed from `flags`."""
    pairs = dict(_pair(text) for text in flags.pop("data_options"))
    data = DataFlags(flags.pop("data"), flags.pop("path"), pairs)
    sizes = Sizes(k=flags.pop("k"), recent=flags.pop("recent"), length=flags.pop("length"))
    settings = {name: flags.pop(name) for name in TrainingConfig.__struct_fields__}
    try:
        config = msgspec.convert(settings, TrainingConfig)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from error
    return data, sizes, config, EngineMaker(flags.pop("backend"), config.threads or None)


@contextmanager
def following() -> Iterator[Told]:
    """Show progress, to stderr: a bar where a person watches, a line every two seconds elsewhere."""
    if not is_terminal():
        yield _lines()
        return
    text = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn()
    with Bar(*text, console=Console(stderr=True)) as bar:
        tasks: dict[tuple[str, str], Any] = {}

        def show(name: str, progress: Progress) -> None:
            key = name, progress.stage
            if key not in tasks:
                tasks[key] = bar.add_task(f"{name} {progress.stage}".strip(), total=None, text="")
            bar.update(tasks[key], completed=progress.done, total=progress.total, text=said(progress))

        yield show


def _lines(clock: Callable[[], float] = time.monotonic) -> Told:
    last = clock()

    def show(name: str, progress: Progress) -> None:
        nonlocal last
        if clock() - last < LINE_SECONDS:
            return
        last = clock()
        left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
        click.echo(f"{name} {progress.stage}: {said(progress)}{left}".strip(), err=True)

    return show


def said(progress: Progress) -> str:
    """`12,000 of 60,000 samples, 4,300/s, loss 0.4123, GAUC 0.6123`, as far as known."""
    total = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.done:,}{total} samples, {progress.rate:,.0f}/s"]
    parts += [] if progress.loss is None else [f"loss {progress.loss:.4f}"]
    parts += [] if progress.gauc is None else [f"GAUC {progress.gauc:.4f}"]
    return ", ".join(parts)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        message = f"--data-option {text!r} is not KEY=VALUE; for example --data-option dial=0.5"
        raise click.UsageError(message)
    return key, value


def _with(options: list[Any], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function
