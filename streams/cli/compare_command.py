"""`muse-stream compare`: sets of models on one data set, as a table."""

from pathlib import Path
from typing import Any

import click

from muse_stream.esu_scorer.models.sets import SETS, Choices
from muse_stream.streams.cli.common import CommandError, example, json_option, print_json
from muse_stream.streams.cli.training_flags import data_options, following, size_options, taken, training_options
from muse_stream.streams.learning.comparing import compare
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
    help="Where the runs and the table go; what is finished there is kept.",
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

    The table shows GAUC on the part test with 95 % intervals over users, the difference from the set's reference, and
    the published figure beside it where there is one. It is also in DIR/table.md and DIR/result.json. A comparison that
    was stopped goes on when the same command is given again.
    """
    data, sizes, config, make = taken(flags)
    source = data.open()
    try:
        with following() as told:
            vectors = named_vectors(data.data, source, seed=config.seed) if set_name in VARY_VECTORS else {}
            entries = SETS[set_name](Choices(sizes, vectors))
            found = compare(set_name, entries, source, make, config=config, directory=out, told=told)
    except KeyboardInterrupt:
        message = f"stopped; the same command goes on with what is in {out}"
        raise CommandError(message) from None
    if as_json:
        print_json(found.to_builtins())
    else:
        click.echo(found.table())
