"""Configuration of a network, as it stands in an artefact.

Each kind of network has one tagged struct here; an artefact names it by its tag `name`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from muse_stream.esu_scorer.errors import FeatureError

RETRIEVED_COUNT = 50
"""K of the released network: behaviours retrieved per candidate."""

RECENT_COUNT = 50
"""R of the released network: most recent behaviours per user."""


class MuseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="name", tag="muse"):
    """The MUSE network. `form` is SA-TA's: as in the public release, or as in the paper (scaled, without SiLU).

    Raises `FeatureError` at construction: a tower layer without units.
    """

    form: Literal["released", "paper"] = "released"
    tower: tuple[int, ...] = (256, 128, 64)

    def __post_init__(self) -> None:
        _check_tower(self.tower)


class BlocksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="name", tag="blocks"):
    """Blocks of the MUSE network on and off: baselines and ablations. With the defaults it is MUSE.

    The recent branch, the mean of the recent and the features are always there.

    Raises `FeatureError` at construction: a tower layer without units.

    Attributes:
        unit: Attention over the retrieved: SA-TA, the same without its cosine terms, or none.
        retrieved_mean: Whether the mean of the retrieved is an input of the tower.
        retrieved_simtier: Whether SimTier of the retrieved cosines is.
        recent_simtier: Whether SimTier of the recent cosines is.
        form: Of the attention over the retrieved, as in `MuseConfig`.
        tower: Widths of the hidden layers.

    """

    unit: Literal["none", "target_attention", "sa_ta"] = "sa_ta"
    retrieved_mean: bool = True
    retrieved_simtier: bool = True
    recent_simtier: bool = True
    form: Literal["released", "paper"] = "released"
    tower: tuple[int, ...] = (256, 128, 64)

    def __post_init__(self) -> None:
        _check_tower(self.tower)

    @property
    def reads_retrieved(self) -> bool:
        """Whether anything that was retrieved reaches the tower."""
        return self.unit != "none" or self.retrieved_mean or self.retrieved_simtier


NetworkConfig = MuseConfig | BlocksConfig
"""Union of all network configurations."""


def blocks_of(config: NetworkConfig) -> BlocksConfig:
    """Which blocks a network of this configuration has."""
    return config if isinstance(config, BlocksConfig) else BlocksConfig(form=config.form, tower=config.tower)


def _check_tower(tower: tuple[int, ...]) -> None:
    if min(tower, default=1) < 1:
        msg = f"tower layers must be at least 1 wide, found {list(tower)}"
        raise FeatureError(msg)
