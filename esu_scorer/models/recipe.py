"""What a model is: a network and the rule that it retrieves by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from muse_stream.esu_scorer.config import RECENT_COUNT, RETRIEVED_COUNT, BlocksConfig, NetworkConfig
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rows, Rule

LONGEST = 100_000
"""L of the paper's production model: behaviours of a user's history that are searched."""

MakeRule = Callable[[Source, MakeRetrieval, Mapping[str, Rows]], Rule]
"""Makes a rule for a source, with a cosine search to build on and the vocabulary of each feature."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model that can be trained.

    Attributes:
        name: For people and directories: letters, digits, `-`.
        network: Its network.
        rule: Makes what it retrieves by.
        k: Behaviours retrieved per sample; 0 = none.
        recent: Newest behaviours per sample.
        length: Windows are cut to their newest `length` behaviours before anything is retrieved (`Block.last`).

    """

    name: str
    network: NetworkConfig
    rule: MakeRule
    k: int = RETRIEVED_COUNT
    recent: int = RECENT_COUNT
    length: int = LONGEST


@dataclass(frozen=True, slots=True)
class Sizes:
    """What all models of a comparison have in common; attributes as in `Recipe` and `BlocksConfig`."""

    k: int = RETRIEVED_COUNT
    recent: int = RECENT_COUNT
    length: int = LONGEST
    tower: tuple[int, ...] = BlocksConfig().tower

    def recipe(self, name: str, network: NetworkConfig, rule: MakeRule) -> Recipe:
        """A model of these sizes."""
        return Recipe(name, network, rule, self.k, self.recent, self.length)


SIZES = Sizes()
"""Those of the release, over the longest history."""
