"""`muse-stream request`: one request through Kafka, and its answer."""

from http import HTTPStatus
from urllib.parse import quote

import click
import msgspec
from rich.console import Console
from rich.table import Table

from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    make_console,
    print_json,
    settings_options,
)
from muse_stream.streams.cli.explanation import Names, show_explanation
from muse_stream.streams.demo.http import get_json
from muse_stream.streams.demo.requester import Asked, Requester
from muse_stream.streams.demo.story import ranking, when
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.ids import Id

TITLES = 1_000
"""Newest behaviours whose titles are asked for: the most that a worker tells at once."""


@click.command(
    epilog=example("muse-stream request --user 17850 85123A 71053", "muse-stream request --user 17850 22423 --explain")
)
@click.argument("candidates", nargs=-1, required=True, metavar="ITEM...")
@click.option("--user", required=True, metavar="ID", help="Whose history.")
@click.option("--k", type=click.IntRange(1), metavar="N", help="Behaviours to retrieve per candidate.")
@click.option("--want", type=click.Choice(["scores", "retrieved", "both"]), default="both", show_default=True)
@click.option("--explain", is_flag=True, help="Show what each score is made of.")
@click.option("--timeout", default=30.0, show_default=True, metavar="SECONDS", help="How long to wait for the answer.")
@json_option
@settings_options
def command(
    candidates: tuple[str, ...],
    *,
    user: str,
    k: int | None,
    want: str,
    explain: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Rank the ITEMs for a user: send one request through Kafka and show the answer of the user's owner.

    An id that begins with a minus sign goes behind two: `request --user 17850 -- -40`.
    """
    settings = load_settings()
    items: list[Id] = list(candidates)
    with Requester(settings) as requester:
        asked = requester.ask(user, items, wait_seconds=timeout, want=want, k=k or settings.serving.k, explain=explain)
    answer = asked.answer
    if answer is None or answer.status is not Status.OK:
        reason = answer.error if answer else None
        message = (
            f"answered {answer.status if answer else 'nothing'}: {reason.message if reason else 'no reason given'}"
        )
        raise CommandError(message)
    if as_json:
        print_json({**msgspec.to_builtins(answer), "latency_ms": round(asked.latency_ms, 3)})
    else:
        show(make_console(), asked, answer, names_of(settings, user) if explain else None)


def names_of(settings: Settings, user: str) -> Names:
    """Names of actions, and titles of the user's newest items where the settings' worker tells them."""
    base = f"http://{settings.http.host}:{settings.http.port}"
    reply = get_json(f"{base}/v1/users/{quote(user, safe='')}/sequence?limit={TITLES}")
    behaviours = reply.body.get("behaviours", []) if reply.status == HTTPStatus.OK else []
    titles = {row["item"]: row["title"] for row in behaviours if row["title"]}
    return Names(titles, {code: name for name, code in settings.actions.items()})


def show(console: Console, asked: Asked, answer: Answer, names: Names | None = None) -> None:
    """Print the ranking, what each candidate retrieved, with `names` the explanation, and where the time went."""
    sent = answer.candidates or []
    table = Table(title=f"user {answer.user}: {answer.history_length} behaviours", title_justify="left")
    for name in ("score", "candidate", "retrieved", "closest", "when"):
        table.add_column(name, no_wrap=True)
    for place in ranking(answer) or range(len(sent)):
        score = f"{answer.scores[place]:.4f}" if answer.scores else "-"
        found = answer.retrieved[place] if answer.retrieved else None
        closest = (
            [f"{found.cosine[0]:.3f} item {found.item[0]}", when(found.time_ms[0])]
            if found and found.item
            else ["", ""]
        )
        table.add_row(score, str(sent[place]), str(len(found.item)) if found else "-", *closest)
    console.print(table)
    if names is not None:
        show_explanation(console, answer, names)
    if answer.left_out:
        console.print(f"left out: {', '.join(answer.left_out)}; too large for one answer, or too late", highlight=False)
    model = f"model {answer.model.version}" if answer.model else "no model asked for"
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in answer.stages_ms.items())
    console.print(f"{model}; {asked.latency_ms:.1f} ms from sending to reading (ms: {stages})", highlight=False)
