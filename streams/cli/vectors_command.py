"""`muse-stream vectors`: item vectors from what is bought together, others to compare with, and what each is worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.vectors import Progress, Quality, SclConfig, quality
from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    print_json,
    settings_options,
)
from muse_stream.streams.cli.vectors_show import said, show, table
from muse_stream.streams.clients import open_producer
from muse_stream.streams.learning import items_file
from muse_stream.streams.learning.vectors import KINDS, Kind, Task, make, moment_of, publish, task_of, write
from muse_stream.streams.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
MINUTE_MS = 60_000
DEFAULTS = SclConfig()


@dataclass(frozen=True, slots=True)
class Given:
    """The flags that every kind has."""

    items: Path | None
    purchases: Path | None
    until: datetime | None
    gap_minutes: float
    dimension: int
    seed: int
    out: Path | None
    publish: bool
    space: str | None
    as_json: bool


def input_options(function: F) -> F:
    """What to learn from."""
    path = click.Path(dir_okay=False, exists=True, path_type=Path)
    options = [
        click.option(
            "--items", metavar="FILE", type=path, help="Parquet: item, and title or feature; default: bundled."
        ),
        click.option(
            "--purchases", metavar="FILE", type=path, help="As `replay` reads them; default: the bundled ones."
        ),
        click.option(
            "--until",
            type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
            metavar="UTC",
            help="Learn from purchases before it, judge by later ones; default: after 80 % of them.",
        ),
        click.option(
            "--gap-minutes",
            default=0.0,
            show_default=True,
            help="Longest pause of a user within one basket; 0: equal times.",
        ),
        click.option("--dimension", type=click.IntRange(1), default=DEFAULTS.dimension, show_default=True),
    ]
    return _with(options, function)


def output_options(function: F) -> F:
    """Where vectors go."""
    options = [
        click.option("--seed", default=DEFAULTS.seed, show_default=True),
        click.option(
            "--out",
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write parquet: item, vector.",
        ),
        click.option("--publish", is_flag=True, help="Send the items with their vectors to the items topic."),
        click.option("--space", metavar="NAME", help="Vector space to publish to; it must be in items.spaces."),
    ]
    return json_option(settings_options(_with(options, function)))


def _with(options: Sequence[Callable[[F], F]], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


@click.group(epilog=example("muse-stream vectors train --out vectors.parquet", "muse-stream vectors compare"))
def command() -> None:
    """Learn item vectors, compare them, publish them.

    Items bought together before a moment are the pairs to learn from; items bought together after it tell what the
    vectors are worth: the recall of the companion among the 10 nearest items. Without files, the bundled shop is used.
    """


@command.command(
    epilog=example(
        "muse-stream vectors train --out vectors.parquet",
        "muse-stream vectors train --items items.parquet --purchases log.parquet --publish --space scl",
    )
)
@input_options
@click.option("--epochs", type=click.IntRange(1), default=DEFAULTS.epochs, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=DEFAULTS.batch, show_default=True, help="Pairs a step.")
@click.option("--rate", default=DEFAULTS.rate, show_default=True, help="Learning rate.")
@click.option("--temperature", default=DEFAULTS.temperature, show_default=True)
@click.option("--learn-temperature", is_flag=True, help="Learn it, from that value on.")
@click.option("--momentum", default=DEFAULTS.momentum, show_default=True, help="Of the key encoder.")
@click.option("--queue", type=click.IntRange(1), default=DEFAULTS.queue, show_default=True, help="Negatives.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; the same number gives the same vectors.")
@output_options
def train(threads: int | None, **flags: Any) -> None:  # noqa: ANN401
    """Learn vectors by contrast: titles or features of items bought together come near, others are pushed away."""
    if threads:
        import torch  # noqa: PLC0415

        torch.set_num_threads(threads)
    names = SclConfig.__struct_fields__
    config = SclConfig(**{name: value for name, value in flags.items() if name in names})
    given = Given(**{name: value for name, value in flags.items() if name in Given.__slots__})
    _run("scl", given, config)


@command.command(epilog=example("muse-stream vectors tfidf --out vectors.parquet"))
@input_options
@output_options
def tfidf(**flags: Any) -> None:  # noqa: ANN401
    """Vectors of the titles alone: TF-IDF of hashed n-grams on its first singular directions."""
    _run("tfidf", Given(**flags), SclConfig(seed=flags["seed"], dimension=flags["dimension"]))


@command.command(epilog=example("muse-stream vectors random --out vectors.parquet"))
@input_options
@output_options
def random(**flags: Any) -> None:  # noqa: ANN401
    """Vectors that know nothing: what a comparison starts from."""
    _run("random", Given(**flags), SclConfig(seed=flags["seed"], dimension=flags["dimension"]))


@command.command(epilog=example("muse-stream vectors copurchase --out vectors.parquet"))
@input_options
@output_options
def copurchase(**flags: Any) -> None:  # noqa: ANN401
    """Vectors of the purchases alone: positive mutual information of items in one basket, on its singular directions.

    An item that was never bought together with another in the training span gets none.
    """
    _run("copurchase", Given(**flags), SclConfig(seed=flags["seed"], dimension=flags["dimension"]))


@command.command(epilog=example("muse-stream vectors compare --seeds 5", "muse-stream vectors compare --json"))
@input_options
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Each kind with seeds 1..N.")
@click.option("--epochs", type=click.IntRange(1), default=DEFAULTS.epochs, show_default=True, help="Of scl.")
@json_option
@settings_options
def compare(seeds: int, epochs: int, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Judge every kind on the same held-out pairs: mean over seeds, and the lowest and highest."""
    task = _task(Given(**flags, seed=0, out=None, publish=False, space=None, as_json=as_json))
    if task.judge is None:
        message = "too few purchases with a companion after --until to judge by; choose an earlier moment"
        raise CommandError(message)
    found: dict[Kind, list[Quality]] = {}
    for kind in KINDS:
        found[kind] = []
        for seed in range(1, seeds + 1):
            click.echo(f"{kind}, seed {seed} of {seeds}", err=True)
            config = SclConfig(seed=seed, dimension=flags["dimension"], epochs=epochs)
            found[kind].append(quality(make(task, kind, config, told=show), task.judge))
    if as_json:
        print_json(
            {"until_ms": task.until_ms, "kinds": {kind: msgspec.to_builtins(each) for kind, each in found.items()}}
        )
    else:
        click.echo(table(task, found))


def _run(kind: Kind, given: Given, config: SclConfig) -> None:
    settings = _settings(given)
    task = _task(given)
    untrained: list[Quality] = []

    def told(progress: Progress) -> None:
        show(progress)
        if progress.epoch == 0 and progress.quality is not None:
            untrained.append(progress.quality)

    vectors = make(task, kind, config, told=told)
    judged = quality(vectors, task.judge) if task.judge is not None else None
    result = {
        "kind": kind,
        "items": len(task.items),
        "with_vector": int(vectors.any(axis=1).sum()),
        "dimension": vectors.shape[1],
        "until_ms": task.until_ms,
        "config": msgspec.to_builtins(config),
        "before": msgspec.to_builtins(untrained[0]) if untrained else None,
        "quality": msgspec.to_builtins(judged),
        "out": None if given.out is None else str(given.out),
        "published": 0,
    }
    if given.out is not None:
        write(
            given.out,
            task.items,
            vectors,
            note={"kind": kind, "seed": str(config.seed), "until_ms": str(task.until_ms)},
        )
    if settings is not None:
        result["published"] = _publish(settings, task, vectors, given.space or "")
    if given.as_json:
        print_json(result)
    else:
        click.echo(said(result, judged))


def _settings(given: Given) -> Settings | None:
    """The settings to publish by; None: nothing is to be published. Says what is wrong before anything is learnt."""
    if not given.publish:
        if given.space is not None:
            message = "--space is for --publish; a file has no space"
            raise click.UsageError(message)
        return None
    settings = load_settings()
    spaces = settings.items.spaces
    if given.space is None or spaces.get(given.space) != given.dimension:
        known = ", ".join(f"{name} ({dimension})" for name, dimension in sorted(spaces.items()))
        message = (
            f"no space {given.space!r} of dimension {given.dimension}; items.spaces has {known}. Name one with "
            "--space, or add it to items.spaces of every worker first"
        )
        raise CommandError(message)
    return settings


def _publish(settings: Settings, task: Task, vectors: NDArray[np.int8], space: str) -> int:
    producer = open_producer(settings, client_id="muse-vectors")
    try:
        return publish(producer, settings.topics.items, task.items, vectors, space)
    finally:
        producer.close()


def _task(given: Given) -> Task:
    if (given.items is None) != (given.purchases is None):
        message = "--items and --purchases belong together: give both, or neither for the bundled shop"
        raise click.UsageError(message)
    if given.items is None or given.purchases is None:
        items = items_file.bundled_items()
        purchases = items_file.bundled_purchases(items)
    else:
        items = items_file.read_items(given.items)
        purchases = items_file.read_purchases(given.purchases, items)
    until_ms = moment_of(purchases) if given.until is None else int(given.until.replace(tzinfo=UTC).timestamp() * 1_000)
    return task_of(items, purchases, until_ms, gap_ms=round(given.gap_minutes * MINUTE_MS))
