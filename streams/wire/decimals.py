"""float32 numbers as short decimals: nine digits tell every one apart; its float64 would be written with seventeen."""

import numpy as np
from numpy.typing import NDArray

DIGITS = 9
"""Significant decimal digits that tell every float32 from its neighbours (IEEE 754)."""

_POWERS = np.array([float(f"1e{power}") for power in range(23)])
"""The powers of ten that are exact in float64."""


def decimals(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers whose shortest decimal form has at most nine digits and reads back as the same float32.

    Numbers below 1e-14 and infinite ones keep their long form.

    Args:
        values: Any shape.

    """
    wide = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(wide)))
        scale = _POWERS[np.where(np.isfinite(places), places, 0).clip(0, len(_POWERS) - 1).astype(np.int64)]
        short = np.round(wide * scale) / scale
        return np.where(short.astype(np.float32) == values, short, wide)
