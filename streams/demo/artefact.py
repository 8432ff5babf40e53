"""The demo's model: Online Retail's features, first weights from a seed. It ranks nothing well, and says so.

Invariant: the same data and seed give the same artefact, to the digest.
"""

from pathlib import Path

import numpy as np

from muse_stream.esu_scorer import Artefact, FeatureSpec
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES, VECTOR_SPACE, OnlineRetail
from muse_stream.streams.wire.ids import id_of

WIDTH = 16  # the released network's embedding width (arXiv 2512.07216)
SEED = 1512  # any number: nothing has been learnt
NAME = "online-retail-untrained"


def feature_spec() -> FeatureSpec:
    """Item, category, price band of a candidate; country of a customer."""
    item = {"item": WIDTH, "category": WIDTH, **dict.fromkeys(ITEM_FEATURES, WIDTH)}
    return FeatureSpec.of(item, dict.fromkeys(USER_FEATURES, WIDTH))


def write_untrained(directory: Path, retail: OnlineRetail) -> Path:
    """Save the untrained artefact below `directory`; returns its path. Raises `ArtefactExistsError`, `OSError`."""
    catalogue = retail.catalogue
    vocabularies = {
        "item": np.unique(catalogue.item),
        "category": np.unique(catalogue.category),
        "price_band": np.unique(catalogue.price_band),
        "country": np.unique([id_of(country) for country in set(retail.customers.country)]),
    }
    artefact = Artefact.untrained(feature_spec(), vocabularies, seed=SEED, space=VECTOR_SPACE, version=NAME)
    path = directory / NAME
    artefact.save(path)
    return path
