"""One pass of a model over a part: what it says of each sample."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.data import Block, Part, Source
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.evaluation import Scores
from muse_stream.esu_scorer.network import Forward, Model
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.retrieval import Rule
from muse_stream.esu_scorer.training.config import Pace, Told
from muse_stream.esu_scorer.training.reading import Ahead, Batch, View, batches

BATCH = 1000


def score(
    source: Source, part: Part, artefact: Artefact, rule: Rule, *, length: int, batch: int = BATCH, told: Told
) -> Iterator[Scores]:
    """Score a part of a source with an artefact, in the source's order; one piece a batch (see `Scores.join`).

    Args:
        source: Its features must be the artefact's.
        part: Which.
        artefact: The model; retrieval takes its K and R.
        rule: What it was trained with; it is told of the model first.
        length: Windows are cut to so many behaviours: the recipe's.
        batch: Samples scored at once.
        told: Called after every batch.

    Raises:
        TrainingError: The source has other features than the artefact.
        DataError: Bad input.

    """
    if source.info.spec != artefact.spec:
        msg = (
            f"{source.info.name} has features {source.info.spec}, artefact {artefact.version!r} reads {artefact.spec}; "
            f"take an artefact that was trained on this source"
        )
        raise TrainingError(msg)
    model = artefact.model()
    rule.follow(model)
    lookups = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
    view = View(artefact.spec, lookups, rule, artefact.manifest.k, artefact.manifest.r, length)
    pace = Pace("scoring", time.monotonic, total=source.info.samples.get(part))
    return scored(model, source.blocks(part), view, batch, part=part, pace=pace, told=told)


def scored(
    model: Model, blocks: Iterable[Block], view: View, size: int, *, part: Part, pace: Pace, told: Told
) -> Iterator[Scores]:
    """Score blocks, the next batch being prepared meanwhile."""
    done = 0
    with Ahead(batches(blocks, view, size, part=part)) as ahead:
        while (batch := ahead.take()) is not None:
            ahead.start()
            yield _scores(model, batch)
            done += len(batch)
            told(pace.at(done))


@torch.no_grad()
def _scores(model: Model, batch: Batch) -> Scores:
    """In the order of the samples."""
    result: Forward = model(batch.rows)
    back = np.argsort(batch.order)
    return Scores(
        user=batch.user[back],
        label=batch.label.numpy()[back] == 1,
        score=result.probability[:, CLICK].numpy()[back],
        history=batch.history[back],
        age_ms=batch.age_ms[back],
    )
