"""`muse-stream compare`: sets of models on one data set, as a table."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from muse_stream.esu_scorer.models.compare import AGAINST, Comparison, Line, run
from muse_stream.esu_scorer.models.sets import SETS, Choices
from muse_stream.streams.cli.common import CommandError, example, json_option, print_json
from muse_stream.streams.cli.training_flags import data_options, following, size_options, taken, training_options
from muse_stream.streams.learning.sources import named_vectors

VARY_VECTORS = {"gsu-vectors", "vectors"}


@click.command(
    epilog=example(
        "muse-stream compare --set models --data planted --out comparisons/planted",
        "muse-stream compare --set gsu-vectors --data online-retail --out comparisons/vectors",
        "muse-stream compare --set models --data kuairand /data/KuaiRand-1K --out comparisons/kuairand",
        "muse-stream compare --set length --data planted --length 1000 --out comparisons/length",
    )
)
@click.option("--set", "set_name", required=True, type=click.Choice(list(SETS)), help="What is compared; see below.")
@data_options
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where runs and tables go; what is finished there is kept, and sets share runs.",
)
@size_options
@training_options
@json_option
def command(set_name: str, out: Path, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    r"""Train every model of a set on the data set --data, at PATH where it needs files, and compare them.

    \b
    models       DIN, SIM-hard, SIM-soft, TWIN, MUSE
    gsu-vectors  what the search ranks by: IDs, random, text, co-purchase, contrastive vectors
    vectors      the same, for search and network
    gsu-metric   cosine, learned attention, cosine + ID cosine, fused
    esu          target attention, SA-TA, SimTier, both; released and paper form
    length       histories of 50 to --length behaviours
    k            5 to 200 retrieved

    The table shows GAUC on the part test with 95 % intervals over users, the difference from MUSE, and the published
    figure beside it where there is one. It is also in DIR/SET.md and DIR/SET.json. A comparison that was
    stopped goes on when the same command is given again.
    """
    data, sizes, config, make = taken(flags)
    source = data.open()
    try:
        with following() as told:
            vectors = named_vectors(data.data, source, seed=config.seed) if set_name in VARY_VECTORS else {}
            found = run(
                SETS[set_name](Choices(sizes, vectors)),
                source,
                make,
                config,
                out,
                told=lambda entry, progress: told(entry.recipe.name, progress),
            )
    except KeyboardInterrupt:
        message = f"stopped; the same command goes on with what is in {out}"
        raise CommandError(message) from None
    result = {"set": set_name, **_as_json(found)}
    (out / f"{set_name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (out / f"{set_name}.md").write_text(found.table(), encoding="utf-8")
    if as_json:
        print_json(result)
    else:
        click.echo(found.table())


def _as_json(found: Comparison) -> dict[str, Any]:
    return {
        "data": found.source.name,
        "caveat": found.source.caveat,
        "part": found.part,
        "against": AGAINST,
        "entries": [_line(line) for line in found.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    published = line.entry.published
    return {
        "name": line.entry.recipe.name,
        "varies": line.entry.varies,
        "published": None if published is None else published.gauc,
        "published_of": None if published is None else published.of,
        "difference": msgspec.to_builtins(line.difference),
        "samples_per_second": line.samples_per_second,
        "report": msgspec.to_builtins(line.report),
    }
