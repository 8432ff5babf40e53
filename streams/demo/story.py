"""One answer, told: what a customer bought, what was ranked, and which behaviours the best candidate brought back.

Invariant: everything shown stands in the answer or in the bundled data; nothing is computed for the show.
"""

from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muse_stream.streams.demo.dataset import RETURN, Behaviours, Catalogue, OnlineRetail
from muse_stream.streams.demo.long_history import LongHistory
from muse_stream.streams.demo.stage import Worth
from muse_stream.streams.wire.answers import Answer, Retrieved
from muse_stream.streams.wire.ids import Id, id_of

LAST, BEST, FOUND = 8, 8, 6  # rows shown of purchases, candidates, retrieved behaviours


def show_customer(console: Console, retail: OnlineRetail, user: int, answer: Answer, *, trained: bool) -> None:
    """Print one customer's last purchases, the ranking, and what the best candidate retrieved."""
    mine = retail.behaviours.of(user)
    country = retail.customers.country[int((retail.customers.user == user).argmax())]
    console.rule(f"Customer {user}, {country}: {len(mine)} purchases")
    console.print(last_purchases(mine, retail.catalogue))
    order = ranking(answer)
    console.print(ranked(answer, order, retail.catalogue, trained=trained))
    best = order[0]
    if answer.candidates and answer.retrieved:
        console.print(retrieved(answer.candidates[best], answer.retrieved[best], retail.catalogue))
    if answer.positions is not None:
        at = answer.positions.behaviours
        console.print(
            f"Computed from behaviours partition {at.partition} up to offset {at.offset}, items version "
            f"{answer.positions.items}; {stages(answer)}",
            highlight=False,
        )


def show_worth(console: Console, version: str, worth: Worth) -> None:
    """Say what the scores are worth."""
    if not worth.trained:
        said = "first weights from a seed, nothing has been trained yet.[/] The order of the candidates means nothing."
    elif worth.gauc is None:
        said = "trained; how good it is, its artefact does not say.[/]"
    else:
        said = (
            f"trained on {worth.samples:,} samples of these purchases, GAUC {worth.gauc:.3f} on later ones (0.5 is "
            "chance).[/] A purchase is a positive; nobody wrote down what was shown, so negatives are drawn by popularity."
        )
    console.print(
        f"[bold]The scores come from {escape(version)}: {said} The retrieval and its cosines are exact.",
        highlight=False,
    )


def show_long(console: Console, catalogue: Catalogue, long: LongHistory) -> None:
    """Print what happened to the synthetic user with the long history."""
    console.rule(f"Synthetic user {long.user}: customer {long.customer}'s purchases repeated to {long.length:,}")
    added = long.added
    lines = [
        f"{long.length:,} behaviours in {long.frames} packed frames: sent and stored within {long.ingest_ms:,.0f} ms",
        f"exact top {long.k} of {long.length:,} behaviours for {long.candidates} candidates: "
        f"{long.retrieval_ms:.1f} ms (first time, history loaded from disk: {long.cold_ms:.1f} ms; "
        f"asked again: {long.again_ms:.1f} ms)",
        f"one more behaviour: a purchase of {escape(catalogue.title_of(added.item))}",
    ]
    if added.visible_ms is None or added.cosine is None:
        lines.append("it was NOT retrieved by the next request")
    else:
        lines.append(f"the next answer has it, cosine {added.cosine:.3f}: {added.visible_ms:.1f} ms after it was sent")
    for line in lines:
        console.print(f"  {line}", highlight=False)


def ranking(answer: Answer) -> list[int]:
    """Places of the candidates, best score first; equal scores keep the request's order."""
    scores = answer.scores or []
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def last_purchases(mine: Behaviours, catalogue: Catalogue) -> Table:
    """The customer's newest behaviours, newest first."""
    table = Table(title="last purchases", title_justify="left")
    for name in ("when", "what", "category"):
        table.add_column(name)
    for index in range(len(mine) - 1, max(-1, len(mine) - 1 - LAST), -1):
        row = int(mine.row[index])
        what = catalogue.title[row] + (" (returned)" if mine.action[index] == RETURN else "")
        table.add_row(when(int(mine.event_time_ms[index])), escape(what), catalogue.category_name[row])
    return table


def ranked(answer: Answer, order: list[int], catalogue: Catalogue, *, trained: bool) -> Table:
    """The best candidates with their scores and the closest behaviour's cosine."""
    sent, scores = answer.candidates or [], answer.scores or []
    table = Table(
        title=f"{len(sent)} candidates, ranked{'' if trained else ' (untrained scores)'}", title_justify="left"
    )
    for name in ("score", "candidate", "closest behaviour"):
        table.add_column(name, justify="left" if name == "candidate" else "right")
    for place in order[:BEST]:
        cosines = answer.retrieved[place].cosine if answer.retrieved else []
        closest = f"{cosines[0]:.3f}" if cosines else "-"
        table.add_row(f"{scores[place]:.4f}", escape(title(sent[place], catalogue)), closest)
    return table


def retrieved(candidate: Id, found: Retrieved, catalogue: Catalogue) -> Table:
    """The behaviours that a candidate brought back, closest first."""
    name = escape(title(candidate, catalogue))
    table = Table(title=f"retrieved for {name}: {len(found.item)} behaviours", title_justify="left")
    for heading in ("cosine", "behaviour", "when", "position"):
        table.add_column(heading, justify="right" if heading in {"cosine", "position"} else "left")
    columns = zip(found.cosine, found.item, found.time_ms, found.position, strict=True)
    for cosine, item, time_ms, position in list(columns)[:FOUND]:
        table.add_row(f"{cosine:.3f}", escape(catalogue.title_of(item)), when(time_ms), str(position))
    return table


def title(candidate: Id, catalogue: Catalogue) -> str:
    """Title of a candidate as it was sent."""
    return catalogue.title_of(id_of(candidate))


def when(time_ms: int) -> str:
    """A moment of the shop's clock."""
    return datetime.fromtimestamp(time_ms / 1e3, UTC).strftime("%Y-%m-%d %H:%M")


def stages(answer: Answer) -> str:
    """Where the time went."""
    return ", ".join(f"{stage} {value:.1f} ms" for stage, value in answer.stages_ms.items())
