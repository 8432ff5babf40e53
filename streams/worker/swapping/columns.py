"""Features of items as one model reads them, out of a catalogue that holds those of all models."""

import numpy as np

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.serving.gather import Ids

OWN_COLUMNS = 2
"""Item and category, which come first in the catalogue and in every model."""


class ModelColumns:
    """The catalogue with a model's columns, in the model's order."""

    def __init__(self, catalogue: Catalogue, spec: FeatureSpec) -> None:
        """Choose the columns; every feature of the model must be in the catalogue (see `checks`)."""
        at = [OWN_COLUMNS + catalogue.feature_names.index(name) for name in spec.candidate_names[OWN_COLUMNS:]]
        self._columns = np.array([*range(OWN_COLUMNS), *at])
        self._is_whole = self._columns.tolist() == list(range(OWN_COLUMNS + len(catalogue.feature_names)))
        self._catalogue = catalogue

    def features_of(self, items: Ids) -> Ids:
        """Features of items, `[n] int64` -> `[n, F] int64` in the model's order; 0 = not known."""
        found = self._catalogue.features_of(items)
        return found if self._is_whole else np.ascontiguousarray(found[:, self._columns])

    def categories_of(self, items: Ids) -> Ids:
        """Categories of items `[n] int64`; 0 = not known."""
        return self._catalogue.categories_of(items)
