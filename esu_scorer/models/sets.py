"""Sets of models that are compared: the paper's tables, and what else a reader asks.

In each set one thing differs from entry to entry; everything else is MUSE as configured. MUSE itself, named `muse`, is
in every set: what the others are compared with, and one model for all sets of one configuration. The published figures
stand beside ours to show the order of things: they are of other data (Taobao's) and were not rerun here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from muse_stream.esu_scorer.config import BlocksConfig
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.din import din
from muse_stream.esu_scorer.models.metrics import attention_rule, fused_rule, id_cosine_rule
from muse_stream.esu_scorer.models.muse import muse, search_rule
from muse_stream.esu_scorer.models.recipe import SIZES, MakeRule, Recipe, Sizes
from muse_stream.esu_scorer.models.rules import WithCosines
from muse_stream.esu_scorer.models.sim_hard import sim_hard
from muse_stream.esu_scorer.models.sim_soft import id_rule, sim_soft
from muse_stream.esu_scorer.models.twin import twin
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rows, Rule, Vectors

OPEN = "Taobao-MM, 1K history"
PRODUCTION = "Taobao's production data"

LENGTHS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
COUNTS = (5, 10, 20, 50, 100, 200)
FORMS: tuple[Literal["released", "paper"], ...] = ("released", "paper")


@dataclass(frozen=True, slots=True)
class Published:
    """A figure of the paper: its GAUC, and of what."""

    gauc: float
    of: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a comparison.

    Attributes:
        recipe: The model; its name is the line's.
        varies: What is different in it, for a reader.
        published: The paper's figure, where it has one.

    """

    recipe: Recipe
    varies: str
    published: Published | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a set is made for.

    Attributes:
        sizes: Of all models, where the set does not vary them.
        vectors: By name (`random`, `text`, `copurchase`, `scl`, ...), iterable anew for each model; for the sets that
            vary vectors. The source's own are `source`.

    """

    sizes: Sizes = SIZES
    vectors: Mapping[str, Vectors] = field(default_factory=dict)


def models(choices: Choices) -> list[Entry]:
    """The models of the paper's main table that are here."""
    sizes = choices.sizes
    return [
        Entry(din(sizes), "recent behaviours only", Published(0.6082, OPEN)),
        Entry(sim_hard(sizes), "retrieves the candidate's category", Published(0.6139, OPEN)),
        Entry(sim_soft(sizes), "retrieves by ID embeddings", Published(0.6135, OPEN)),
        Entry(twin(sizes), "retrieves by its own attention", Published(0.6098, OPEN)),
        Entry(muse(sizes), "retrieves by the items' vectors", Published(0.6154, OPEN)),
    ]


def gsu_vectors(choices: Choices) -> list[Entry]:
    """Which vectors the search ranks by. The network reads the cosines of the source's vectors in all of them."""
    sizes, searches = choices.sizes, {name: search_rule(some) for name, some in choices.vectors.items()}
    varied = {"id": id_rule, **searches}
    entries = [
        Entry(muse_by(f"gsu-{name}", choosing(rule), sizes), f"searches {name} vectors")
        for name, rule in varied.items()
    ]
    return [*entries, Entry(muse(sizes), "searches the source's vectors")]


def vectors(choices: Choices) -> list[Entry]:
    """Which vectors both the search and the network read."""
    entries = [
        Entry(muse(choices.sizes, name=f"vectors-{name}", vectors=some), f"{name} vectors")
        for name, some in choices.vectors.items()
    ]
    return [*entries, Entry(muse(choices.sizes), "the source's vectors")]


def gsu_metric(choices: Choices) -> list[Entry]:
    """What the search ranks by; see `metrics`."""
    sizes = choices.sizes
    return [
        Entry(muse_by("gsu-attention", attention_rule, sizes), "learned attention"),
        Entry(muse_by("gsu-cosine-id", id_cosine_rule, sizes), "cosine + ID cosine"),
        Entry(muse_by("gsu-fused", fused_rule, sizes), "standardised attention + standardised cosine"),
        Entry(muse(sizes), "cosine"),
    ]


def esu(choices: Choices) -> list[Entry]:
    """What the network does with the retrieved, in the released and in the paper's form of attention.

    SimTier is there for both recent and retrieved, or for none; the means always are. SimTier alone has no form.
    """
    sizes = choices.sizes
    tiers_alone = BlocksConfig(unit="none", tower=sizes.tower)
    return [
        *[_attention_entry(sizes, "ta", form, 0.6301) for form in FORMS],
        *[_attention_entry(sizes, "sa-ta", form, 0.6339) for form in FORMS],
        Entry(muse(sizes, name="simtier", network=tiers_alone), "SimTier", Published(0.6345, PRODUCTION)),
        *[_attention_entry(sizes, "ta-simtier", form, 0.6361) for form in FORMS],
        _attention_entry(sizes, "sa-ta-simtier", "paper", 0.6377),
        Entry(muse(sizes), "SA-TA + SimTier, released form", Published(0.6377, PRODUCTION)),
    ]


def _attention_entry(sizes: Sizes, name: str, form: Literal["released", "paper"], gauc: float) -> Entry:
    tiers = name.endswith("simtier")
    network = BlocksConfig(
        unit="sa_ta" if name.startswith("sa-ta") else "target_attention",
        retrieved_simtier=tiers,
        recent_simtier=tiers,
        form=form,
        tower=sizes.tower,
    )
    varies = f"{'SA-TA' if network.unit == 'sa_ta' else 'target attention'}{' + SimTier' if tiers else ''}, {form} form"
    return Entry(muse(sizes, name=f"{name}-{form}", network=network), varies, Published(gauc, PRODUCTION))


def length(choices: Choices) -> list[Entry]:
    """How much of the history is searched; MUSE has the length of `sizes`, others less."""
    sizes = choices.sizes
    shorter = [dataclasses.replace(sizes, length=some) for some in LENGTHS if some < sizes.length]
    entries = [Entry(muse(less, name=f"length-{less.length}"), f"newest {less.length:,}") for less in shorter]
    return [*entries, Entry(muse(sizes), f"newest {sizes.length:,}")]


def k(choices: Choices) -> list[Entry]:
    """How many behaviours are retrieved; MUSE has the K of `sizes`."""
    sizes = choices.sizes
    counts = sorted({*COUNTS, sizes.k})
    return [
        Entry(muse(dataclasses.replace(sizes, k=some), name="muse" if some == sizes.k else f"k-{some}"), f"K = {some}")
        for some in counts
    ]


def muse_by(name: str, rule: MakeRule, sizes: Sizes) -> Recipe:
    """MUSE's network with another rule."""
    return dataclasses.replace(muse(sizes, name=name), rule=rule)


def choosing(choice: MakeRule) -> MakeRule:
    """A rule that chooses as `choice` does, with the cosines of the source's vectors."""

    def rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
        return WithCosines(choice(source, make, vocabularies), make(source.vectors()))

    return rule


SETS: dict[str, Callable[[Choices], list[Entry]]] = {
    "models": models,
    "gsu-vectors": gsu_vectors,
    "gsu-metric": gsu_metric,
    "esu": esu,
    "length": length,
    "k": k,
    "vectors": vectors,
}
"""By name."""
