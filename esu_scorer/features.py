"""Which features a network reads, in which order, and how wide each one's embedding is.

Invariant: a `FeatureSpec` that exists is valid. The first two candidate features are `item` and `category`, both of
width D; their two tables also serve the recent and the retrieved behaviours. Every other feature has its own table.
"""

from __future__ import annotations

import re

import msgspec

from muse_stream.esu_scorer.errors import FeatureError

EMBEDDING_WIDTH = 16
"""D of the released network (arXiv 2512.07216, public configuration)."""

ITEM, CATEGORY = "item", "category"

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One id-valued feature: its name and the width of its embedding."""

    name: str
    width: int


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Candidate and user features in column order; the order is also that of the tower's input.

    Raises `FeatureError` at construction: names are distinct, 1 to 64 of letters, digits and `_`; widths are positive;
    the candidate features begin with `item`, `category`, of one width.
    """

    candidate: tuple[Feature, ...]
    user: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.candidate]
        if names[:2] != [ITEM, CATEGORY]:
            msg = f"candidate features must begin with 'item', 'category', found {names}; put these two first"
            raise FeatureError(msg)
        if self.candidate[0].width != self.candidate[1].width:
            msg = (
                f"item and category must have one width (both are a behaviour's embedding), found "
                f"{self.candidate[0].width} and {self.candidate[1].width}"
            )
            raise FeatureError(msg)
        _check_features(self.features)

    @classmethod
    def of(cls, candidate: dict[str, int], user: dict[str, int]) -> FeatureSpec:
        """Build from `{name: embedding width}` in column order. Raises `FeatureError`."""
        return cls(
            candidate=tuple(Feature(name, width) for name, width in candidate.items()),
            user=tuple(Feature(name, width) for name, width in user.items()),
        )

    @classmethod
    def taobao_mm(cls, width: int = EMBEDDING_WIDTH) -> FeatureSpec:
        """Build the released network's features; `width` is D, the last three user features get D / 2."""
        half = width // 2
        return cls.of(
            candidate={ITEM: width, CATEGORY: width, "213": width, "214": width},
            user={"129_1": width, "130_1": width, "130_2": width, "130_3": half, "130_4": half, "130_5": half},
        )

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features, candidate first: one embedding table each."""
        return self.candidate + self.user

    @property
    def width(self) -> int:
        """D: the width of an item's and of a category's embedding."""
        return self.candidate[0].width

    @property
    def candidate_names(self) -> tuple[str, ...]:
        """Names of the columns of `ScoreBatch.candidate_features`."""
        return tuple(feature.name for feature in self.candidate)

    @property
    def user_names(self) -> tuple[str, ...]:
        """Names of the columns of `ScoreBatch.user_features`."""
        return tuple(feature.name for feature in self.user)

    @property
    def candidate_width(self) -> int:
        """Width of all candidate embeddings side by side."""
        return sum(feature.width for feature in self.candidate)

    @property
    def user_width(self) -> int:
        """Width of all user embeddings side by side."""
        return sum(feature.width for feature in self.user)


def _check_features(features: tuple[Feature, ...]) -> None:
    seen: set[str] = set()
    for feature in features:
        if not _NAME.fullmatch(feature.name):
            msg = f"feature name {feature.name!r} must be 1 to 64 of letters, digits and '_'"
            raise FeatureError(msg)
        if feature.width < 1:
            msg = f"feature {feature.name!r} has embedding width {feature.width}, expected at least 1"
            raise FeatureError(msg)
        if feature.name in seen:
            msg = f"feature name {feature.name!r} occurs twice; each names one embedding table, so rename one of them"
            raise FeatureError(msg)
        seen.add(feature.name)
