"""`muse-stream export`: impressions in, samples with everything as it was at that moment out."""

from contextlib import closing
from pathlib import Path

import click
import msgspec

from muse_stream.streams.cli.common import example, json_option, load_settings, print_json, settings_options
from muse_stream.streams.cli.progress import progress
from muse_stream.streams.export.cluster import Cluster, Origin, Setting, Worlds, open_reader, partitions_of, shape_of
from muse_stream.streams.export.columns import Columns, Layout
from muse_stream.streams.export.impressions import Impressions, read_impressions
from muse_stream.streams.export.reasons import ADVICE, Reason
from muse_stream.streams.export.replay import replay
from muse_stream.streams.export.run import Summary, write
from muse_stream.streams.export.served import served
from muse_stream.streams.export.shards import GROUP_ROWS, SHARD_ROWS, Shards
from muse_stream.streams.export.tape import Tapes
from muse_stream.streams.serving.features import HISTORY_MAX
from muse_stream.streams.settings import Settings


@click.command(
    epilog=example(
        "muse-stream export clicks.parquet --out /data/export",
        "muse-stream export clicks.csv --out /data/export --part test --from stores --data-dir /var/lib/muse-stream",
        "muse-stream export clicks.parquet --out /data/export --served     # features that answers carried",
        "muse-stream export clicks.parquet --out /data/export --set model.path=/models/muse --json",
    )
)
@click.argument("impressions", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Where to.")
@click.option(
    "--part", default="train", show_default=True, help="Name of the part: DIR/PART/PART-shard-000000.parquet."
)
@click.option(
    "--from",
    "origin",
    type=click.Choice(["log", "stores"]),
    default="log",
    show_default=True,
    help="Where behaviours come from. Stores: a worker's data directory; needs no behaviours log.",
)
@click.option(
    "--served", "is_served", is_flag=True, help="Take what answers carried (`features: true`); replay nothing."
)
@click.option(
    "--length",
    default=HISTORY_MAX,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Newest behaviours listed with a sample. Retrieval always looks at the whole history.",
)
@click.option(
    "--layout",
    type=click.Choice(["released", "own"]),
    default="released",
    show_default=True,
    help="Column names: those of the public data set, or the features' own.",
)
@click.option(
    "--group-rows", default=GROUP_ROWS, show_default=True, type=click.IntRange(1), help="Rows of a row group."
)
@click.option("--shard-rows", default=SHARD_ROWS, show_default=True, type=click.IntRange(1), help="Rows of a file.")
@json_option
@settings_options
def command(
    *,
    impressions: Path,
    out: Path,
    part: str,
    origin: Origin,
    is_served: bool,
    length: int,
    layout: Layout,
    group_rows: int,
    shard_rows: int,
    as_json: bool,
) -> None:
    """Make samples to learn from: history, retrieved behaviours and features as they were when IMPRESSIONS were shown.

    IMPRESSIONS is .parquet or .csv with the columns user, item, time_ms and label (0 or 1). With behaviours_position,
    users_position and items_position, the positions of the served answer, the moment is exactly that one. Without, it
    is what the brokers had before time_ms: records of the same millisecond and later ones are never seen. The features,
    K, R and the vector space are those of the model that the settings name.

    What cannot be known any more is not exported: it is counted by reason and listed in DIR/PART-left-out.csv.
    """
    settings = load_settings()
    read = read_impressions(impressions, settings.topics.partitions, requests=is_served)
    shape = shape_of(settings)
    columns = Columns(shape, layout)
    shards = Shards(out, part, group_rows=group_rows, shard_rows=shard_rows)
    if is_served:
        summary = _served(settings, read, columns, shards, length)
    else:
        wanted = partitions_of(read.partition.tolist())
        setting = Setting(settings, shape, Cluster.ask(settings), origin, length, wanted)
        summary = _replayed(setting, read, columns, shards)
    if as_json:
        print_json(msgspec.to_builtins(summary))
    else:
        _show(summary, out, part)


def _replayed(setting: Setting, read: Impressions, columns: Columns, shards: Shards) -> Summary:
    with closing(Worlds(setting)) as worlds, progress("impressions done") as told:
        summary = write(read, replay(read, worlds), columns, shards, told)
    summary.vectors_without_room = worlds.without_room
    return summary


def _served(settings: Settings, read: Impressions, columns: Columns, shards: Shards, length: int) -> Summary:
    with closing(open_reader(settings)) as reader, progress("impressions done") as told:
        at = [(settings.topics.scores, number) for number in range(settings.topics.partitions)]
        tapes = Tapes(reader, at)
        found = served(read, (tapes[one] for one in at), columns.shape, length)
        return write(read, found, columns, shards, told)


def _show(summary: Summary, out: Path, part: str) -> None:
    click.echo(
        f"{summary.samples:,} samples ({summary.positives:,} taken) of {summary.impressions:,} impressions in "
        f"{summary.seconds:.1f} s, {summary.samples_per_second:,.0f}/s: {len(summary.files)} files in {out / part}"
    )
    click.echo(
        f"{summary.without_history:,} without any history, {summary.nothing_retrieved:,} with one and nothing retrieved"
    )
    if summary.user_id_feature_differs:
        text = "read another feature 129_1 than the user's id, which the column shows; use --layout own"
        click.echo(f"{summary.user_id_feature_differs:,} {text}")
    if summary.vectors_without_room:
        click.echo(f"{summary.vectors_without_room:,} vectors found no room; raise items.table_budget_bytes")
    for reason, count in summary.left_out.items():
        advice = ADVICE.get(Reason(reason))
        click.echo(f"{count:,} left out: {reason}" + (f" ({advice})" if advice else ""))
    if summary.left_out:
        click.echo(f"each of them is listed in {out / part}-left-out.csv")
