"""Train and evaluate a set of models on one source, and set them side by side.

Each entry is a training run of its own, `DIRECTORY/<name>`: one that is finished is read, one that was stopped goes on.
So a comparison can be killed and called again, sets in one directory share the runs of equal names, and the table is
made from what lies there. Beside a run's own files lie the scores that its model gave, `scores-<part>-<digest>`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.data.source import Part, Source, SourceInfo
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.evaluation import Interval, Report, Scores, difference, evaluate, table
from muse_stream.esu_scorer.files import replace_file
from muse_stream.esu_scorer.models.sets import Entry
from muse_stream.esu_scorer.retrieval import MakeRetrieval
from muse_stream.esu_scorer.training import Progress, TrainingConfig, score, train

AGAINST = "muse"
"""Name of the entry that differences are taken from."""

Told = Callable[[Entry, Progress], None]


@dataclass(frozen=True, slots=True)
class Line:
    """What came out of one entry.

    Attributes:
        entry: The model.
        report: Of the part that all were evaluated on.
        difference: GAUC minus MUSE's, of the same users; None for MUSE itself, and where it is not in the set.
        samples_per_second: Of its training, when it was last resumed.

    """

    entry: Entry
    report: Report
    difference: Interval | None
    samples_per_second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models side by side, in the order of the set.

    Attributes:
        source: The data.
        part: Part that the reports are of.
        lines: One an entry.

    """

    source: SourceInfo
    part: Part
    lines: tuple[Line, ...]

    def table(self) -> str:
        """Markdown: a row a model, and below it what each varies and what the published figures are of."""
        published = {line.entry.recipe.name: line.entry.published for line in self.lines}
        differences = {line.entry.recipe.name: line.difference for line in self.lines if line.difference is not None}
        rows = table(
            {line.entry.recipe.name: line.report for line in self.lines},
            published={name: figure.gauc for name, figure in published.items() if figure is not None} or None,
            differences=differences or None,
            against=AGAINST,
        )
        return f"{rows}\n{self._notes()}"

    def _notes(self) -> str:
        models = [f"- {line.entry.recipe.name}: {line.entry.varies}" for line in self.lines]
        of = sorted({line.entry.published.of for line in self.lines if line.entry.published is not None})
        notes = [f"Data: {self.source.name}, part {self.part}.", self.source.caveat]
        figures = f"Published figures: {'; '.join(of)}; not rerun." if of else ""
        return "\n".join(models) + "\n\n" + " ".join(note for note in (*notes, figures) if note) + "\n"


def run(
    entries: Sequence[Entry],
    source: Source,
    make: MakeRetrieval,
    config: TrainingConfig,
    directory: Path,
    *,
    told: Told,
    part: Part = "test",
) -> Comparison:
    """Train what is not trained, score what is not scored, compare.

    Args:
        entries: The set.
        source: Parts `train` and `validation` for training, `part` for the comparison.
        make: The cosine search.
        config: Of every run.
        directory: Of the runs: new, or of the same comparison.
        told: Called with the entry that is being worked on.
        part: What the reports are of; the models have not seen `test`.

    Raises:
        TrainingError: The part has no samples, two entries have one name, a run cannot go on (see `train`).
        DataError: Bad input.

    """
    _check(entries, source.info, part)
    bench = _Bench(source, make, config, part)
    results = {entry.recipe.name: bench.result(entry, directory / entry.recipe.name, told) for entry in entries}
    base = results.get(AGAINST)
    lines = []
    for entry in entries:
        scores, rate = results[entry.recipe.name]
        compared = base is not None and entry.recipe.name != AGAINST
        less = difference(scores, base[0], seed=config.seed) if base is not None and compared else None
        lines.append(Line(entry, evaluate(scores, seed=config.seed), less, rate))
    return Comparison(source.info, part, tuple(lines))


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all entries have in common."""

    source: Source
    make: MakeRetrieval
    config: TrainingConfig
    part: Part

    def result(self, entry: Entry, directory: Path, told: Told) -> tuple[Scores, float]:
        """Scores of the part, and samples/s of the training."""

        def say(progress: Progress) -> None:
            told(entry, progress)

        trained = train(self.source, entry.recipe, self.make, self.config, directory, told=say)
        artefact = Artefact.load(trained.artefact)
        file = directory / f"scores-{self.part}-{artefact.digest[:16]}.safetensors"
        kept = _read(file)
        if kept is None:
            kept = self._score(entry, artefact, say)
            replace_file(file, save({column.name: getattr(kept, column.name) for column in fields(kept)}))
        return kept, trained.samples_per_second

    def _score(self, entry: Entry, artefact: Artefact, say: Callable[[Progress], None]) -> Scores:
        lookups = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
        rule = entry.recipe.rule(self.source, self.make, lookups)
        length, batch = entry.recipe.length, self.config.batch
        scores = Scores.join(score(self.source, self.part, artefact, rule, length=length, batch=batch, told=say))
        if not len(scores):
            raise TrainingError(_empty(self.source.info, self.part))
        return scores


def _read(file: Path) -> Scores | None:
    """Scores that were kept; None where there are none, or none that can be read."""
    try:
        return Scores(**load_file(file))
    except (OSError, SafetensorError):
        return None


def _check(entries: Sequence[Entry], info: SourceInfo, part: Part) -> None:
    names = [entry.recipe.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"entries of one name: {', '.join(twice)}; each has a directory of its own, so name them apart"
        raise TrainingError(msg)
    if info.samples.get(part) == 0:
        raise TrainingError(_empty(info, part))


def _empty(info: SourceInfo, part: Part) -> str:
    return f"{info.name} has no samples of the part {part!r} to compare models on; choose another part or source"
