"""Configuration of a network, as it stands in an artefact.

Each network has one tagged struct here; the tag `name` tells which module builds it (`network.build`).
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
        if min(self.tower, default=1) < 1:
            msg = f"tower layers must be at least 1 wide, found {list(self.tower)}"
            raise FeatureError(msg)


NetworkConfig = MuseConfig
"""Union of all network configurations."""
