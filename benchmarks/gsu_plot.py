"""The plot of `gsu`: time against the history's length and against the number of candidates, on logarithmic axes."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from muse_stream.benchmarks.gsu import Cell
    from muse_stream.benchmarks.gsu_limits import MachineRow

OURS, BEST, LIMIT = "#0072B2", "#D55E00", "#000000"  # Okabe and Ito's palette: told apart by colour-blind people
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#8C6D31", "#6A3D9A", "#B2A800")
MARKS = "svD^P*Xh"
PANELS = 3  # a row
Axes = Any  # matplotlib is not needed by anything else, and is not imported to check types


def check() -> None:
    """Raise `click.ClickException` where matplotlib is missing: before the measuring, not after it."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError as error:
        message = "--plot needs matplotlib: run make bench-env, or install muse-stream[bench]"
        raise click.ClickException(message) from error


def draw(cells: Sequence["Cell"], machine: "MachineRow", path: str) -> None:
    """Write a PNG of the cells that share the first one's data, heat and K.

    Args:
        cells: At least one.
        machine: The row of `gsu_limits` that names the CPU, the threads and the day.
        path: Where to.

    """
    check()
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    first = cells[0]
    shown = [cell for cell in cells if (cell.data, cell.heat, cell.k) == (first.data, first.heat, first.k)]
    figure, axes = pyplot.subplots(2, PANELS, figsize=(13, 8.6), sharey=True, squeeze=False, layout="constrained")
    colours = _colours(shown)
    by_length, by_count = {cell.length for cell in shown}, {cell.candidates for cell in shown}
    _row(axes[0], shown, colours, some(by_count), (lambda cell: cell.candidates, lambda cell: cell.length))
    _row(axes[1], shown, colours, some(by_length), (lambda cell: cell.length, lambda cell: cell.candidates))
    for axis, count in zip(axes[0], some(by_count), strict=False):
        axis.set(title=f"{count:,} candidate{'s' if count > 1 else ''}", xlabel="behaviours in the history")
    for axis, length in zip(axes[1], some(by_length), strict=False):
        axis.set(title=f"{length:,} behaviours", xlabel="candidates")
    for row in axes:
        row[0].set_ylabel("ms per search")
    figure.suptitle(title(first, machine), fontsize=13)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def title(cell: "Cell", machine: "MachineRow") -> str:
    """What the plot shows and where it was measured."""
    threads = f"{machine.threads} thread{'s' if machine.threads != 1 else ''}"
    return (
        f"Exact top {cell.k} of one user's history ({cell.data}, {cell.heat})\n{machine.cpu}, {threads}, {machine.date}"
    )


def some(values: set[int]) -> list[int]:
    """At most `PANELS` of them, ascending: the smallest, the middle one, the largest."""
    order = sorted(values)
    return order if len(order) <= PANELS else [order[0], order[len(order) // 2], order[-1]]


def _colours(cells: Sequence["Cell"]) -> dict[str, tuple[str, str]]:
    """A colour and a mark for each peer, the same in all panels."""
    names = dict.fromkeys(name for cell in cells for name in cell.times_ms if not name.startswith("ours"))
    return {name: (OTHERS[j % len(OTHERS)], MARKS[j % len(MARKS)]) for j, name in enumerate(names)}


def _row(
    row: Sequence[Axes],
    cells: Sequence["Cell"],
    colours: dict[str, tuple[str, str]],
    fixed: list[int],
    keys: tuple[Callable[["Cell"], int], Callable[["Cell"], int]],
) -> None:
    """Panels of cells that are equal by the first key, along the second; panels that stay empty are hidden."""
    for axis, value in zip(row, fixed, strict=False):
        _panel(axis, sorted((cell for cell in cells if keys[0](cell) == value), key=keys[1]), colours, keys[1])
    for axis in row[len(fixed) :]:
        axis.set_visible(False)


def _panel(
    axis: Axes, cells: list["Cell"], colours: dict[str, tuple[str, str]], along: Callable[["Cell"], int]
) -> None:
    places = [along(cell) for cell in cells]
    for name, (colour, mark) in colours.items():
        times = [cell.times_ms.get(name, float("nan")) for cell in cells]
        axis.plot(places, times, color=colour, marker=mark, markersize=4, linewidth=1, alpha=0.6, label=name)
    if any(cell.best_peer for cell in cells):
        best = [cell.best_peer or float("nan") for cell in cells]
        axis.plot(places, best, color=BEST, linewidth=2.5, linestyle="--", label="best exact peer")
    axis.plot(places, [cell.ours for cell in cells], color=OURS, linewidth=3, marker="o", label="muse-stream")
    axis.plot(
        places, [cell.limit_ms for cell in cells], color=LIMIT, linestyle=":", linewidth=2, label="machine's limit"
    )
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(places, [f"{place:,}" for place in places])
    axis.minorticks_off()
    axis.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
