"""How far something long has come: a bar where a person watches, a line now and then elsewhere; to stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from muse_stream.streams.cli.common import is_terminal

LINE_SECONDS = 2.0

Show = Callable[[int, int], None]
"""Told of how much is done, and of how much there is to do."""


@contextmanager
def progress(what: str) -> Iterator[Show]:
    """Show count, rate and time left; `what` says what is done to those counted ("sent")."""
    if not is_terminal():
        yield lines(what)
        return
    rate = TextColumn("{task.fields[rate]:,.0f}/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    begun = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, rate=0.0)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, rate=done / max(1e-9, time.monotonic() - begun))

        yield show


def lines(what: str, clock: Callable[[], float] = time.monotonic) -> Show:
    """Print a line every two seconds."""
    begun = last = clock()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if now - last < LINE_SECONDS:
            return
        last = now
        rate = done / (now - begun)
        left = f"{max(0, total - done) / rate:.0f} s left" if rate else "none yet"
        click.echo(f"{done:,} of {total:,} {what}, {rate:,.0f}/s, {left}", err=True)

    return show
