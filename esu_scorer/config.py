"""Configuration of a network, as it stands in an artefact.

Each network has one tagged struct here; the tag `name` tells which module builds it (`network.build`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

RETRIEVED_COUNT = 50
"""K of the released network: behaviours retrieved per candidate."""

RECENT_COUNT = 50
"""R of the released network: most recent behaviours per user."""


class MuseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="name", tag="muse"):
    """The MUSE network. `form` is SA-TA's: as in the public release, or as in the paper (scaled, without SiLU)."""

    form: Literal["released", "paper"] = "released"
    tower: tuple[int, ...] = (256, 128, 64)


NetworkConfig = MuseConfig
"""Union of all network configurations."""
