"""An explanation for people: per candidate the behaviours that matter most, and the blocks as bars.

Invariant: everything shown stands in the answer; titles, which do not, come from a worker and are left empty without.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muse_stream.streams.demo.story import when
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.features import Behaviours, CandidateExplanation

BEHAVIOURS = 8  # shown per candidate, those that change the score most
BAR = 30  # characters of the longest bar


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers are called.

    Attributes:
        titles: Of items, as far as known.
        actions: Of action codes.

    """

    titles: Mapping[int, str]
    actions: Mapping[int, str]


def show_explanation(console: Console, answer: Answer, names: Names) -> None:
    """Print why the scores of an answer are what they are."""
    found, told = answer.explanation, answer.behaviours
    if found is None or told is None:
        return
    for one in found.candidates:
        console.print(_behaviours(answer, one, told, names))
        if rest := _rest(one):
            console.print(rest, highlight=False)
        for line in bars(found.blocks, one.block_change):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    count, explained = len(answer.candidates or ()), len(found.candidates)
    if explained < count:
        console.print(f"{explained} of {count} candidates are explained (serving.explain_candidates)", highlight=False)
    console.print(
        "change: the score had the behaviour not been there, or were nothing known of the block, minus the score",
        highlight=False,
    )


def by_change(one: CandidateExplanation) -> list[int]:
    """Places of a candidate's behaviours, those first that change the score most; without changes as they came."""
    return sorted(range(len(one.row)), key=lambda place: -abs(one.change[place]) if one.change else 0.0)


def bars(blocks: list[str], changes: list[float]) -> list[str]:
    """One line per block, the change that is largest as the longest bar."""
    largest = max(map(abs, changes), default=0.0) or 1.0
    width = max(map(len, blocks), default=0)
    return [
        f"  {block:<{width}}  {change:+.4f}  {'#' * round(BAR * abs(change) / largest)}".rstrip()
        for block, change in zip(blocks, changes, strict=True)
    ]


def _behaviours(answer: Answer, one: CandidateExplanation, told: Behaviours, names: Names) -> Table:
    sent = str((answer.candidates or [])[one.candidate])
    score = f", score {answer.scores[one.candidate]:.4f}" if answer.scores else ""
    table = Table(title=f"{escape(sent)}{score}: {len(one.row)} behaviours retrieved", title_justify="left")
    for name in ("change", "attention", "cosine", "tier"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("when", "action", "item", "title"):
        table.add_column(name, no_wrap=name != "title")
    for place in by_change(one)[:BEHAVIOURS]:
        row = one.row[place]
        item, action = told.item[row], told.action[row]
        table.add_row(
            f"{one.change[place]:+.4f}" if one.change else "-",
            f"{one.weight[place]:.3f}" if one.weight else "-",
            f"{one.cosine[place]:.3f}",
            str(one.tier[place]),
            when(told.time_ms[row]),
            names.actions.get(action, str(action)),
            str(item),
            escape(names.titles.get(item, "")),
        )
    return table


def _rest(one: CandidateExplanation) -> str:
    """What the behaviours that are not shown change at most."""
    rest = by_change(one)[BEHAVIOURS:]
    if not rest or not one.change:
        return ""
    return f"  {len(rest)} more change the score by {abs(one.change[rest[0]]):.4f} at most"
