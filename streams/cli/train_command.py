"""`muse-stream train`: from samples to an artefact."""

from pathlib import Path
from typing import Any

import click
import msgspec

from muse_stream.esu_scorer import Artefact
from muse_stream.esu_scorer.evaluation import table
from muse_stream.esu_scorer.models import RECIPES
from muse_stream.esu_scorer.training import Trained, train
from muse_stream.streams.cli.common import CommandError, example, json_option, print_json
from muse_stream.streams.cli.training_flags import data_options, following, size_options, taken, training_options


@click.command(
    epilog=example(
        "muse-stream train --data online-retail --out runs/retail",
        "muse-stream train --data planted --data-option dial=0.9 --model din --out runs/din --json",
        "muse-stream train --data taobao-mm /data/taobao-mm --length 1000 --out runs/taobao --checkpoint-batches 500",
        "muse-stream train --data online-retail --parent runs/retail/artefact --out runs/second",
    )
)
@data_options
@click.option("--model", type=click.Choice(list(RECIPES)), default="muse", show_default=True, help="What to train.")
@click.option(
    "--out",
    required=True,
    metavar="RUN",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the run: new or empty; or of the same run, which then goes on.",
)
@click.option(
    "--parent",
    metavar="ARTEFACT",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Go on from this model's weights.",
)
@size_options
@training_options
@json_option
def command(model: str, out: Path, parent: Path | None, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Train a model on the data set --data, at PATH where it needs files; evaluate it; write an artefact.

    RUN/artefact is the model, as `model.artefact` of the settings takes it. RUN also holds settings, metrics (one JSON
    object a line), plots where matplotlib is there, and checkpoints: a run that was stopped goes on when the same
    command is given again, and ends with the same weights as if it had not been.

    Retrieval is by the engine that serves. online-retail is bundled: a purchase is a positive, negatives are drawn.
    planted is made up so that the right order of the models is known.
    """
    data, sizes, config, make = taken(flags)
    source = data.open()
    before = None if parent is None else Artefact.load(parent)
    try:
        with following() as told:
            trained = train(
                source,
                RECIPES[model](sizes),
                make,
                config,
                out,
                told=lambda progress: told(model, progress),
                parent=before,
            )
    except KeyboardInterrupt:
        message = f"stopped; the same command goes on from the newest checkpoint in {out}"
        raise CommandError(message) from None
    if as_json:
        print_json(_as_json(model, source.info.name, source.info.caveat, trained))
        return
    if trained.before:
        click.echo(f"{out} is finished already; nothing was trained")
    if trained.validation is not None:
        click.echo(table({model: trained.validation}, caveat=f"{source.info.name}. {source.info.caveat}"))
    click.echo(f"{trained.samples:,} samples, {trained.samples_per_second:,.0f}/s; the model is in {trained.artefact}")


def _as_json(model: str, data: str, caveat: str, trained: Trained) -> dict[str, object]:
    return {
        "model": model,
        "data": data,
        "caveat": caveat,
        "artefact": str(trained.artefact),
        "digest": Artefact.load(trained.artefact).digest,
        "samples": trained.samples,
        "samples_per_second": trained.samples_per_second,
        "was_finished_before": trained.before,
        "validation": msgspec.to_builtins(trained.validation),
    }
