"""Models to train and compare: each a network and the rule that it retrieves by, one file each."""

from collections.abc import Callable

from muse_stream.esu_scorer.models.din import din
from muse_stream.esu_scorer.models.muse import muse
from muse_stream.esu_scorer.models.recipe import LONGEST, SIZES, MakeRule, Recipe, Sizes
from muse_stream.esu_scorer.models.sim_hard import sim_hard
from muse_stream.esu_scorer.models.sim_soft import sim_soft
from muse_stream.esu_scorer.models.twin import twin

RECIPES: dict[str, Callable[..., Recipe]] = {
    "din": din,
    "sim-hard": sim_hard,
    "sim-soft": sim_soft,
    "twin": twin,
    "muse": muse,
}
"""By name; each takes `Sizes`."""

__all__ = ["LONGEST", "RECIPES", "SIZES", "MakeRule", "Recipe", "Sizes", "din", "muse", "sim_hard", "sim_soft", "twin"]
