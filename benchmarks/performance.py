"""Writes measured figures into docs/performance.md, out of what the benchmarks print with `--json`.

    python -m muse_stream.benchmarks.performance gsu=gsu.json cold=cold.json incremental=incremental.json

A name's tables go between `<!-- figures NAME -->` and `<!-- end NAME -->`, behind docs/images/NAME.png where there is
one; other names' tables stay.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
GOALS = {  # issue 5: how many times as fast as the best exact peer, by length and candidates, for hot users
    1_000: {1: 1.0, 10: 1.2, 100: 1.5, 500: 1.5, 1_000: 1.5},
    10_000: {1: 2.0, 10: 2.5, 100: 3.0, 500: 3.0, 1_000: 3.0},
    100_000: {1: 4.0, 10: 4.5, 100: 4.0, 500: 4.0, 1_000: 4.0},
}
Figures = dict[str, Any]  # a row as JSON has it: the fields of `report.Row` or of one of its kinds


def main(arguments: Sequence[str]) -> None:
    """Fill in the page. Raises `SystemExit`: an argument is not NAME=FILE, or the page has no place of that name."""
    text = PAGE.read_text(encoding="utf-8")
    for argument in arguments:
        name, _, path = argument.partition("=")
        if not path:
            raise SystemExit(str(__doc__))
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        image = f"images/{name}.png"
        shown = f"![{name}]({image})\n\n" if (PAGE.parent / image).is_file() else ""
        text = filled(text, name, shown + render(json.loads(lines[-1])["rows"]))
    PAGE.write_text(text, encoding="utf-8")


def filled(text: str, name: str, figures: str) -> str:
    """The page with a place's figures; raises `SystemExit` where it has no such place."""
    first, last = f"<!-- figures {name} -->", f"<!-- end {name} -->"
    if first not in text or last not in text:
        message = f"{PAGE.name} has no place called {name!r}"
        raise SystemExit(message)
    place = re.compile(re.escape(first) + ".*?" + re.escape(last), re.DOTALL)
    return place.sub(lambda _found: f"{first}\n\n{figures}\n\n{last}", text)


def render(rows: Sequence[Figures]) -> str:
    """All of a benchmark's rows: the machine, grids of cells, goals missed, everybody's times, then the rest."""
    machine = [row for row in rows if "cpu" in row]
    cells = [row for row in rows if "times_ms" in row]
    rest = [row for row in rows if not {"cpu", "times_ms", "device"} & row.keys()]
    parts = [_machine(machine)] if machine else [_device(row) for row in rows if "device" in row]
    groups: dict[tuple[str, str, int], list[Figures]] = {}
    for cell in cells:
        groups.setdefault((cell["data"], cell["heat"], cell["k"]), []).append(cell)
    for group, members in groups.items():
        parts += _group(members, group)
    parts += [_plain(rest)] if rest else []
    return "\n\n".join(parts)


def _device(row: Figures) -> str:
    if row["device"] is None:
        return f"Nothing could be measured: {row['why']}."
    named = ", ".join(f"{name} {row[name]}" for name in ("driver", "cuda", "cupy", "torch", "commit") if row[name])
    return f"{row['device']}, {row['date']}: {named}."


def _machine(rows: Sequence[Figures]) -> str:
    named = "; ".join(f"{row['case'].removeprefix('machine: ')} {_figure(row['ours'])} {row['unit']}" for row in rows)
    return f"{rows[0]['cpu']}, {rows[0]['threads']} threads, {rows[0]['date']}: {named}."


def _group(cells: Sequence[Figures], group: tuple[str, str, int]) -> list[str]:
    data, heat, k = group
    missed = missed_goals(cells) if heat == "hot" else []
    parts = [f"**{data}, {heat} users, K = {k}**: ms, and how many times faster than the best exact peer", grid(cells)]
    parts += ["Goals missed: " + "; ".join(missed) + "."] if missed else []
    return [*parts, "Everybody's ms; in brackets recall where it is not 1:", everybody(cells)]


def grid(cells: Sequence[Figures]) -> str:
    """A table of our times by length and candidates, with the best exact peer."""
    counts = sorted({cell["candidates"] for cell in cells})
    lines = []
    for length in sorted({cell["length"] for cell in cells}):
        found = {cell["candidates"]: cell for cell in cells if cell["length"] == length}
        lines.append([f"{length:,}", *(_compared(found[count]) if count in found else "" for count in counts)])
    return table(["behaviours", *(f"C = {count:,}" for count in counts)], lines)


def missed_goals(cells: Iterable[Figures]) -> list[str]:
    """Each goal of issue 5 that a cell does not reach, and by how much."""
    missed = []
    for cell in cells:
        goal = GOALS.get(cell["length"], {}).get(cell["candidates"])
        if goal and cell["ratio"] is not None and cell["ratio"] < goal:
            where = f"{cell['length']:,} x {cell['candidates']:,}"
            missed.append(f"{where} {cell['ratio']:.2f}x of {goal:g}x ({cell['best_peer_name']})")
    return missed


def everybody(cells: Sequence[Figures]) -> str:
    """A table with a line per cell: ours, the machine's limit, every peer."""
    names = list(dict.fromkeys(name for cell in cells for name in cell["times_ms"]))
    lines = []
    for cell in cells:
        limit = [_figure(cell["limit_ms"]), f"{cell['of_limit']:.0%}"]
        lines.append([f"{cell['length']:,}", f"{cell['candidates']:,}", *limit, *(_one(cell, name) for name in names)])
    return table(["behaviours", "C", "limit", "of it", *names], lines)


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    ruler = ["---", *(["---:"] * (len(names) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [names, ruler, *lines])


def _compared(cell: Figures) -> str:
    against = "" if cell["ratio"] is None else f", {cell['ratio']:.1f}x {cell['best_peer_name']}"
    return _figure(cell["ours"]) + against


def _one(cell: Figures, name: str) -> str:
    if name not in cell["times_ms"]:
        return ""
    found = cell["recalls"][name]
    return _figure(cell["times_ms"][name]) + ("" if found == 1 else f" ({found:.4f})")


def _plain(rows: Sequence[Figures]) -> str:
    lines = []
    for row in rows:
        peer = [row["best_peer_name"] or "", "" if row["best_peer"] is None else _figure(row["best_peer"])]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}x"
        ours = "" if row["ours"] is None else f"{_figure(row['ours'])} {row['unit']}"
        lines.append([row["case"], ours, *peer, ratio])
    return table(["case", "ours", "compared with", "its figure", "ours is better by"], lines)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
