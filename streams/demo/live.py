"""What is shown while the stream runs: a table that renews itself on a terminal, a line every two seconds elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

LINE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the running stream; None where nothing has been measured yet. Times in milliseconds."""

    seconds: float
    sent: int
    total: int
    stored: int
    events_per_second: float
    freshness_p50_ms: float | None
    freshness_p99_ms: float | None
    requests_sent: int
    requests_answered: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    retrieval_p50_ms: float | None
    scoring_p50_ms: float | None

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each figure, as people read them."""
        return [
            ("behaviours sent", f"{self.sent:,} of {self.total:,}"),
            ("behaviours stored", f"{self.stored:,}"),
            ("events/s", f"{self.events_per_second:,.0f}"),
            ("broker time to retrievable", _pair(self.freshness_p50_ms, self.freshness_p99_ms)),
            ("requests answered", f"{self.requests_answered} of {self.requests_sent}"),
            ("request to answer", _pair(self.latency_p50_ms, self.latency_p99_ms)),
            ("retrieval (p50)", _ms(self.retrieval_p50_ms)),
            ("scoring (p50)", _ms(self.scoring_p50_ms)),
        ]

    def line(self) -> str:
        """The same in one line."""
        return (
            f"{self.seconds:5.1f} s  {self.events_per_second:6,.0f} events/s  stored {self.stored:6,} of {self.sent:6,}"
            f"  fresh {_pair(self.freshness_p50_ms, self.freshness_p99_ms)}"
            f"  answered {self.requests_answered}/{self.requests_sent}"
            f"  retrieval {_ms(self.retrieval_p50_ms)}  scoring {_ms(self.scoring_p50_ms)}"
        )


class View(Protocol):
    """Shows figures; a context manager around the time in which they change."""

    def update(self, figures: Figures) -> None:
        """Show newer figures."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last figures standing."""


class LiveTable:
    """A table that stays in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def update(self, figures: Figures) -> None:
        """Redraw."""
        self._live.update(figures_table(figures), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class PlainLines:
    """A line every two seconds and one at the end."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._printed = clock()
        self._last: Figures | None = None

    def update(self, figures: Figures) -> None:
        """Print if the last line is old enough."""
        self._last = figures
        if self._clock() - self._printed >= LINE_SECONDS:
            self._print()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None:
            self._print()

    def _print(self) -> None:
        if self._last is not None:
            self._console.print(self._last.line(), highlight=False, soft_wrap=True)
        self._last, self._printed = None, self._clock()


def make_view(console: Console) -> View:
    """The view that suits where the output goes."""
    return LiveTable(console) if console.is_terminal else PlainLines(console)


def figures_table(figures: Figures) -> Table:
    """The figures as a two-column table."""
    table = Table(title=f"the stream, {figures.seconds:.1f} s", show_header=False, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.rows():
        table.add_row(name, value)
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _pair(p50: float | None, p99: float | None) -> str:
    return "-" if p50 is None or p99 is None else f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
