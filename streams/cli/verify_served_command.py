"""`muse-stream verify-served`: whether served answers come out of the logs again."""

import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import click
import msgspec

from muse_stream.monitoring.logs import configure
from muse_stream.streams.cli.common import example, json_option, load_settings, print_json, settings_options
from muse_stream.streams.cli.progress import progress
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.follow import Sample, follow
from muse_stream.streams.verify.ledger import Wanted
from muse_stream.streams.verify.models import Models
from muse_stream.streams.verify.once import Shows, verify_once
from muse_stream.streams.verify.reasons import ADVICE, Unknown
from muse_stream.streams.verify.report import Mismatch, Report
from muse_stream.streams.verify.world import shelf_of

LINES_MAX = 20
HOUR_MS = 3_600_000


@click.command(
    epilog=example(
        "muse-stream verify-served",
        "muse-stream verify-served --last 24 --models /models --json",
        "muse-stream verify-served --share 0.05 --at-least 0.99 --out mismatches.jsonl",
        "muse-stream verify-served --follow --share 0.01 --port 9109     # beside the workers, for ever",
    )
)
@click.option(
    "--models",
    "directories",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Artefacts: DIR itself, or its children; repeatable. Default: model.path and model.store of the settings.",
)
@click.option("--last", type=click.FloatRange(min=0, min_open=True), metavar="HOURS", help="Only answers of so long.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Only this share of users, by a hash of their ids.",
)
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Fail where a smaller share of the computed answers could be compared.",
)
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write every mismatch, a line each."
)
@click.option("--follow", "follows", is_flag=True, help="Verify answers as they come, until SIGTERM or Ctrl-C.")
@click.option(
    "--hold",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Follow: how long an answer waits for others of an earlier items position.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    metavar="PORT",
    help="Follow: serve metrics here (http.host of the settings).",
)
@json_option
@settings_options
def command(
    *,
    directories: tuple[Path, ...],
    last: float | None,
    share: float,
    at_least: float,
    out: Path | None,
    follows: bool,
    hold: float,
    port: int | None,
    as_json: bool,
) -> None:
    """Compute every served answer again, from the logs up to the positions that it names, and compare.

    Answers come from the scores topic, what was asked from the requests topic. Compared are the window that was
    searched, every retrieved behaviour with its cosine (to the bit) and every score (to 1e-6). A score that differs
    where the network itself is at a step is listed apart. An answer whose request, log prefix or vector space is gone
    counts as not rebuildable with the reason, never as equal; one whose model is not here is compared without its
    scores. Use the settings of the workers that answered.

    With --follow it runs beside the workers: it keeps the state of the share of users in memory, compares their
    answers as they come, and exports how many were compared and mismatched (docs/metrics.md).

    The exit code is 1 on any mismatch, or where less than --at-least could be compared. Nothing is changed anywhere,
    and no consumer group is used.
    """
    settings = load_settings()
    models = shelf_of(settings, directories)
    with out.open("w", encoding="utf-8") if out else nullcontext() as file:
        if follows:
            report = _followed(settings, models, Sample(share, hold, file), port)
        else:
            since_ms = int(time.time() * 1e3 - last * HOUR_MS) if last else 0
            report = verify_once(settings, models, Wanted(since_ms, share), Shows(progress, file))
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        _show(report)
    if report.mismatched or report.share_compared < at_least:
        raise click.exceptions.Exit(1)


def _followed(settings: Settings, models: Models, sample: Sample, port: int | None) -> Report:
    """Follow until SIGTERM or Ctrl-C."""
    configure(settings.monitoring.log_format, settings.monitoring.log_level)
    asked = threading.Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        address = (settings.http.host, port) if port else None
        return follow(settings, models, sample, lambda: not asked.is_set(), address)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(report: Report) -> None:
    for mismatch in report.mismatches[:LINES_MAX]:
        click.echo(line_of(mismatch))
    if len(report.mismatches) > LINES_MAX:
        click.echo("further ones: --json has the first hundred, --out FILE all of them")
    click.echo(
        f"{report.compared:,} of {report.computed:,} computed answers compared ({report.share_compared:.1%}), "
        f"{report.candidates:,} candidates, {report.answers_per_second:,.0f} answers/s"
    )
    for what in ("window", "retrieval", "scores"):
        counts = getattr(report, what)
        click.echo(f"{what}: {counts.compared:,} compared, {counts.mismatched:,} mismatched")
    if report.near_step:
        click.echo(f"{report.near_step:,} scores differ where the network is at a step (docs/verify.md)")
    for digest, count in report.model_not_here.items():
        click.echo(f"{count:,} answers without their scores: model {digest} is not here; name its directory: --models")
    for reason, count in report.not_rebuildable.items():
        advice = ADVICE.get(Unknown(reason))
        click.echo(f"{count:,} not rebuildable: {reason}" + (f" ({advice})" if advice else ""))
    for status, count in report.not_computed.items():
        click.echo(f"{count:,} not computed: {status}")
    if report.unreadable:
        click.echo(f"{report.unreadable:,} records of the scores topic are no answers")
    if report.vectors_without_room:
        click.echo(f"{report.vectors_without_room:,} vectors found no room; raise items.table_budget_bytes")
    click.echo(f"{report.mismatched:,} answers mismatched" if report.mismatched else "no mismatch")


def line_of(mismatch: Mismatch) -> str:
    """One mismatch for people: what and where, both values, and what it takes to look at it again."""
    partition, offset = mismatch.behaviours
    where = f"behaviours {partition}:{offset}, users {mismatch.users}, items {mismatch.items}"
    model = f", model {mismatch.model[:16]}" if mismatch.model else ""
    step = ", at the network's step" if mismatch.near_step else ""
    return (
        f"{mismatch.request_id} of user {mismatch.user}: {mismatch.what}, {mismatch.where}: expected "
        f"{mismatch.expected}, found {mismatch.found} ({where}, space {mismatch.space}{model}{step})"
    )
