"""Sets of models trained and evaluated on one data set, side by side.

    OUT/<entry>/            the entry's training run (see `esu_scorer.training`)
    OUT/<entry>/scores.safetensors   what its model said of the part that is compared
    OUT/table.md, OUT/result.json

Invariant: all entries are trained with the same settings and compared on the same samples. Called again with the same
directory, what is finished is kept and what was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from muse_stream.esu_scorer import Artefact
from muse_stream.esu_scorer.data import Part, Source
from muse_stream.esu_scorer.evaluation import Interval, Report, Scores, difference, evaluate
from muse_stream.esu_scorer.evaluation import table as markdown
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.models.sets import Entry
from muse_stream.esu_scorer.retrieval import MakeRetrieval
from muse_stream.esu_scorer.training import Progress, TrainingConfig, score, train

PART: Part = "test"
SCORES_FILE = "scores.safetensors"
REFERENCES = {
    "models": "muse",
    "gsu-vectors": "gsu-source",
    "gsu-metric": "cosine",
    "esu": "sa-ta-simtier-released",
    "k": "k-50",
    "vectors": "vectors-source",
}
"""The entry that a set's others are compared with; of a set that is not named, its last."""

Told = Callable[[str, Progress], None]


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, evaluated.

    Attributes:
        entry: What it is.
        report: On the part that is compared.
        difference: Its GAUC minus that of the set's reference, of the same users; None for the reference itself.
        samples_per_second: Of its training.

    """

    entry: Entry
    report: Report
    difference: Interval | None
    samples_per_second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A set on a data set."""

    set_name: str
    data: str
    caveat: str
    against: str
    lines: Sequence[Line]

    def table(self) -> str:
        """As Markdown, with the published figures beside ours."""
        published = {line.entry.recipe.name: line.entry.published for line in self.lines if line.entry.published}
        notes = [f"{self.data}, part {PART}; intervals: 95 %, over users.", self.caveat]
        notes += [f"Published: {of}." for of in sorted({figure.of for figure in published.values()})]
        return markdown(
            {line.entry.recipe.name: line.report for line in self.lines},
            published={name: figure.gauc for name, figure in published.items()} or None,
            differences={line.entry.recipe.name: line.difference for line in self.lines if line.difference},
            against=self.against,
            caveat="\n" + "\n".join(note for note in notes if note),
        )

    def to_builtins(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "set": self.set_name,
            "data": self.data,
            "part": PART,
            "caveat": self.caveat,
            "against": self.against,
            "entries": [
                {
                    "name": line.entry.recipe.name,
                    "varies": line.entry.varies,
                    "published": None if line.entry.published is None else line.entry.published.gauc,
                    "published_of": None if line.entry.published is None else line.entry.published.of,
                    "difference": msgspec.to_builtins(line.difference),
                    "samples_per_second": line.samples_per_second,
                    "report": msgspec.to_builtins(line.report),
                }
                for line in self.lines
            ],
        }

    def save(self, directory: Path) -> None:
        """Write table.md and result.json."""
        (directory / "table.md").write_text(self.table(), encoding="utf-8")
        (directory / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(self.to_builtins())))


def compare(
    set_name: str,
    entries: Sequence[Entry],
    source: Source,
    make: MakeRetrieval,
    *,
    config: TrainingConfig,
    directory: Path,
    told: Told,
) -> Comparison:
    """Train and evaluate every entry, then compare.

    Args:
        set_name: Of the set.
        entries: Its entries, of different names.
        source: Its parts train, validation and test.
        make: The cosine search.
        config: Training settings, of all entries.
        directory: See the module.
        told: Called with the entry's name and its progress.

    Raises:
        TrainingError: As `train`; or the part test has no sample.
        DataError: Bad input.

    """
    against = REFERENCES.get(set_name, entries[-1].recipe.name)
    scores: dict[str, Scores] = {}
    rates: dict[str, float] = {}
    for entry in entries:
        name = entry.recipe.name
        scores[name], rates[name] = _scores(entry.recipe, source, make, config=config, run=directory / name, told=told)
    lines = [
        Line(
            entry,
            evaluate(scores[name := entry.recipe.name], seed=config.seed),
            None if name == against else difference(scores[name], scores[against], seed=config.seed),
            rates[name],
        )
        for entry in entries
    ]
    comparison = Comparison(set_name, source.info.name, source.info.caveat, against, lines)
    comparison.save(directory)
    return comparison


def _scores(
    recipe: Recipe, source: Source, make: MakeRetrieval, *, config: TrainingConfig, run: Path, told: Told
) -> tuple[Scores, float]:
    """What the trained recipe says of the part, and the samples per second of its training."""

    def tell(progress: Progress) -> None:
        told(recipe.name, progress)

    trained = train(source, recipe, make, config, run, told=tell)
    artefact = Artefact.load(trained.artefact)
    file = run / SCORES_FILE
    if (known := _load(file, artefact.digest)) is not None:
        return known, trained.samples_per_second
    lookups = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
    rule = recipe.rule(source, make, lookups)
    found = Scores.join(score(source, PART, artefact, rule, length=recipe.length, batch=config.batch, told=tell))
    columns = {name: np.ascontiguousarray(getattr(found, name)) for name in Scores.__slots__}
    save_file(columns, file, metadata={"artefact": artefact.digest})
    return found, trained.samples_per_second


def _load(file: Path, digest: str) -> Scores | None:
    """Scores of an earlier call, where they are of this artefact."""
    if not file.exists():
        return None
    with safe_open(file, framework="numpy") as opened:
        if (opened.metadata() or {}).get("artefact") != digest:
            return None
        return Scores(**{name: opened.get_tensor(name) for name in Scores.__slots__})
