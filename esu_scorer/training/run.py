"""A training run: from a source and a recipe to an artefact and a report, resumed where it was stopped.

Batches are numbered from 1 over all epochs. After some of them (`refresh`, `checkpoint`, `evaluate`) the run comes to a
*halt*: the step is done, nothing is being prepared, the rule is told of the tables. Between halts the next batch is
retrieved for and assembled while the network learns from the present one.

Invariant: a run that was killed and resumed gives the weights that it would have given, to the bit, on the same machine
with as many threads: every checkpoint is a halt, so the rule too is at the same state after it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.data import Block, Source
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.evaluation import Report, Scores, evaluate
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rule
from muse_stream.esu_scorer.training.checkpoints import Checkpoint, Position
from muse_stream.esu_scorer.training.compact import Compact, compact
from muse_stream.esu_scorer.training.config import Pace, Progress, Told, TrainingConfig
from muse_stream.esu_scorer.training.continuing import check_parent, first_model, joined
from muse_stream.esu_scorer.training.counting import Ids, count_ids
from muse_stream.esu_scorer.training.learner import Learner, NotFiniteError, Running, batch_tensors, repeatable
from muse_stream.esu_scorer.training.outcome import Trained, metrics_of, outcome_of
from muse_stream.esu_scorer.training.plots import plot_run
from muse_stream.esu_scorer.training.reading import Ahead, Batch, View, batches, skip
from muse_stream.esu_scorer.training.rundir import Done, Metrics, RunDirectory, settings_of
from muse_stream.esu_scorer.training.scoring import scored


def train(
    source: Source,
    recipe: Recipe,
    make: MakeRetrieval,
    config: TrainingConfig,
    directory: Path,
    *,
    told: Told,
    parent: Artefact | None = None,
) -> Trained:
    """Train a recipe on a source; goes on when `directory` holds an unfinished run of the same settings.

    Args:
        source: Its parts `train` and `validation`.
        recipe: Network, rule, K, R, length of windows.
        make: The cosine search for the rule.
        config: Settings.
        directory: Of the run: new, empty, or of the same run.
        told: Called after every block counted and every batch.
        parent: Go on from this model: its weights, its ids and new ones; optimisers begin anew.

    Raises:
        TrainingError: The directory is another run's, a checkpoint is damaged, a loss is no number.
        DataError: Bad input.

    """
    run, config = RunDirectory(directory), config.resolved()
    if parent is not None:
        check_parent(parent, source.info.spec, recipe.network)
    run.claim(settings_of(recipe, config, source.info, None if parent is None else parent.digest))
    if (done := run.done()) is not None:
        told(Progress("finished", done.samples, done.samples, done.samples_per_second, 0.0))
        return outcome_of(run, done, before=True)
    with repeatable(config.seed, config.threads):
        resumed = _Run(source=source, recipe=recipe, make=make, config=config, directory=run, told=told, parent=parent)
        return resumed.finish()


class _Run:
    """A run that is not finished, from its newest checkpoint on."""

    def __init__(
        self,
        *,
        source: Source,
        recipe: Recipe,
        make: MakeRetrieval,
        config: TrainingConfig,
        directory: RunDirectory,
        told: Told,
        parent: Artefact | None,
    ) -> None:
        self._source, self._recipe, self._config, self._told, self._parent = source, recipe, config, told, parent
        self._directory = directory
        self._begun = time.monotonic()
        self._ids = self._known_ids()
        self._rule: Rule = recipe.rule(source, make, self._ids.lookups)
        self._view = View(source.info.spec, self._ids.lookups, self._rule, recipe.k, recipe.recent, recipe.length)
        model = first_model(source.info.spec, recipe.network, self._ids.lookups, config.seed, parent)
        self._learner = Learner(model, config)
        self._position = self._resume()
        self._metrics = Metrics(directory.path, batches=self._position.batches)
        self._running = Running()
        self._loss: float | None = None
        self._gauc: float | None = None

    def finish(self) -> Trained:
        """Train to the end, freeze, evaluate."""
        total = self._ids.counted.span.samples * self._config.epochs
        pace = Pace("training", time.monotonic, first=self._position.samples, total=total)
        self._rule.follow(self._learner.model)
        while self._position.epoch < self._config.epochs:
            self._epoch(pace)
        self._checkpoint()
        rate = pace.at(self._position.samples).rate
        report = self._evaluate()
        artefact = self._freeze(report)
        done = Done(
            artefact=artefact.digest,
            samples=self._position.samples,
            batches=self._position.batches,
            seconds=time.monotonic() - self._begun,
            samples_per_second=rate,
            validation=msgspec.Raw(b"null" if report is None else report.to_json()),
        )
        plot_run(self._directory.path, report)
        self._directory.finish(done)
        return outcome_of(self._directory, done, before=False)

    def _epoch(self, pace: Pace) -> None:
        """Learn from the rest of the present epoch."""
        with Ahead(self._batches()) as ahead:
            while (pair := ahead.take()) is not None:
                if not self._halts(self._position.batches + 1):
                    ahead.start()
                self._step(*pair, pace)
                if self._halts(self._position.batches):
                    self._halt()
        self._position = msgspec.structs.replace(
            self._position, epoch=self._position.epoch + 1, epoch_samples=0, seen=0
        )

    def _batches(self) -> Iterator[tuple[Batch, Compact]]:
        """Batches of the present epoch from the present position on."""
        position = self._position
        blocks: Iterator[Block] = self._source.blocks("train", seed=self._config.seed + position.epoch)
        skipping = Pace("skipping", time.monotonic, total=position.epoch_samples)
        seen, rest = skip(blocks, position.epoch_samples, lambda done: self._told(skipping.at(done)))
        if seen != position.seen:
            msg = (
                f"{self._directory.path}: the first {position.epoch_samples} samples of {self._source.info.name} are "
                f"not those that this run learnt from (CRC-32 {seen:08x}, then {position.seen:08x}); give it the same "
                f"data"
            )
            raise TrainingError(msg)
        found = batches(
            rest, self._view, self._config.batch, part="train", first=position.epoch_samples, seen=position.seen
        )
        return ((batch, compact(batch.rows, self._view.spec)) for batch in found)

    def _step(self, batch: Batch, narrow: Compact, pace: Pace) -> None:
        number = self._position.batches + 1
        try:
            loss, scores = self._learner.learn(batch, narrow)
        except NotFiniteError as error:
            self._stop(batch, number, str(error))
        self._running.add(batch, loss, scores)
        self._position = Position(
            batches=number,
            samples=self._position.samples + len(batch),
            epoch=self._position.epoch,
            epoch_samples=self._position.epoch_samples + len(batch),
            seen=batch.seen,
        )
        self._report(pace)

    def _stop(self, batch: Batch, number: int, loss: str) -> NoReturn:
        file = self._directory.save_failed(number, batch_tensors(batch))
        first = self._position.epoch_samples
        msg = (
            f"the loss of batch {number} (samples {first}..{first + len(batch) - 1} of epoch {self._position.epoch}) "
            f"is {loss}; the batch is in {file}. Weights or rates are too large, or the data is wrong there: look at "
            f"the loss in metrics.jsonl, lower dense_rate or table_rate, and start again in a new directory"
        )
        raise TrainingError(msg)

    def _report(self, pace: Pace) -> None:
        """Tell of the step; every few batches with loss and GAUC, and a line of metrics."""
        position = self._position
        if position.batches % self._config.report_batches:
            self._told(pace.at(position.samples, loss=self._loss, gauc=self._gauc))
            return
        self._loss, self._gauc = loss, gauc = self._running.report()
        progress = pace.at(position.samples, loss=loss, gauc=gauc)
        self._metrics.add(
            {
                "batch": position.batches,
                "samples": position.samples,
                "loss": loss,
                "gauc": gauc,
                "samples_per_second": progress.rate,
                "seconds": time.monotonic() - self._begun,
            }
        )
        self._told(progress)

    def _halts(self, number: int) -> bool:
        config = self._config
        evaluates = config.evaluate_batches > 0 and number % config.evaluate_batches == 0
        return number % config.refresh_batches == 0 or number % config.checkpoint_batches == 0 or evaluates

    def _halt(self) -> None:
        number = self._position.batches
        self._rule.follow(self._learner.model)
        if self._config.evaluate_batches and number % self._config.evaluate_batches == 0:
            report = self._evaluate()
            if report is not None:
                self._metrics.add({"batch": number, "validation": metrics_of(report)})
        if number % self._config.checkpoint_batches == 0:
            self._checkpoint()

    def _known_ids(self) -> Ids:
        """What the counting pass found, now or before the run was stopped."""
        spec, config, info = self._source.info.spec, self._config, self._source.info
        known = self._directory.ids(tuple(feature.name for feature in spec.features))
        if known is None:
            pace = Pace("counting", time.monotonic, total=info.samples.get("train"))
            known = count_ids(
                self._source.blocks("train"),
                spec,
                config,
                source=info.name,
                length=self._recipe.length,
                told=lambda done: self._told(pace.at(done)),
            )
            if self._parent is not None:
                known = Ids(joined(self._parent, known.lookups, config), known.counted)
            self._directory.save_ids(known)
        return known

    def _resume(self) -> Position:
        checkpoint = Checkpoint.newest(self._directory.checkpoints)
        if checkpoint is None:
            return Position()
        self._learner.restore(dict(checkpoint.tensors))
        return checkpoint.position

    def _checkpoint(self) -> None:
        Checkpoint(self._position, self._learner.tensors()).save(self._directory.checkpoints)

    def _evaluate(self) -> Report | None:
        """Evaluate on the part `validation`; None where it has no sample."""
        model = self._learner.model
        pace = Pace("validating", time.monotonic, total=self._source.info.samples.get("validation"))
        blocks = self._source.blocks("validation")
        self._rule.follow(model.eval())
        parts = scored(model, blocks, self._view, self._config.batch, part="validation", pace=pace, told=self._told)
        scores = Scores.join(parts)
        model.train()
        return evaluate(scores, seed=self._config.seed) if len(scores) else None

    def _freeze(self, report: Report | None) -> Artefact:
        """Save the artefact; one that is there was left by a run that was killed between this and its end."""
        artefact = Artefact.from_model(
            self._learner.model,
            self._ids.lookups,
            space=self._config.space,
            version=f"{self._recipe.name}-{self._config.seed}",
            trained=True,
            k=self._recipe.k,
            r=self._recipe.recent,
            metrics={} if report is None else metrics_of(report),
            data=self._ids.counted.span,
            parent=None if self._parent is None else self._parent.digest,
        )
        shutil.rmtree(self._directory.artefact, ignore_errors=True)
        artefact.save(self._directory.artefact)
        return artefact
