"""What every benchmark hands back, and how it is shown.

Invariant: a row compares with peers measured in the same run, and its ratio is above 1 exactly where we are better.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Line:
    """One case, measured or not.

    Attributes:
        case: What was to be measured, with its sizes.
        ours: Our figure, None where it could not be measured.
        unit: Of both figures.
        best_peer_name: The best of those compared with, None where nothing comparable was measured.
        best_peer: Its figure.
        ratio: How many times better ours is; below 1 the peer is better.

    """

    case: str
    ours: float | None
    unit: str
    best_peer_name: str | None = None
    best_peer: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Row(Line):
    """One measured case."""

    ours: float


def lower_is_better(case: str, ours: float, unit: str, peers: dict[str, float]) -> Row:
    """A row of times or sizes against the best of `peers`."""
    if not peers:
        return Row(case, ours, unit)
    name = min(peers, key=peers.__getitem__)
    return Row(case, ours, unit, name, peers[name], peers[name] / ours)


def higher_is_better(case: str, ours: float, unit: str, peers: dict[str, float]) -> Row:
    """A row of rates against the best of `peers`."""
    if not peers:
        return Row(case, ours, unit)
    name = max(peers, key=peers.__getitem__)
    return Row(case, ours, unit, name, peers[name], ours / peers[name])


def show(rows: Iterable[Line], *, as_json: bool = False, console: "Console | None" = None) -> None:
    """Print a table or, `as_json`, one line `{"rows": [...]}` as the last one."""
    console = console or import_module("rich.console").Console(width=None if sys.stdout.isatty() else 160)
    if as_json:
        console.print(
            json.dumps({"rows": [asdict(row) for row in rows]}), highlight=False, soft_wrap=True, markup=False
        )
        return
    table = import_module("rich.table").Table()
    for name in ("case", "ours", "unit", "best peer", "its figure", "ours is better by"):
        table.add_column(name, justify="left" if name in {"case", "unit", "best peer"} else "right", no_wrap=True)
    for row in rows:
        peer, ratio = _figure(row.best_peer), "" if row.ratio is None else f"{row.ratio:,.2f} x"
        table.add_row(row.case, _figure(row.ours), row.unit, row.best_peer_name or "", peer, ratio)
    console.print(table)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
