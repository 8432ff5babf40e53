"""Everything `esu_scorer` raises on purpose.

EsuError
├── FeatureError            a feature or layer list that no network can have
├── VocabularyError         ids that cannot be a vocabulary
├── BatchError              a ScoreBatch whose arrays do not fit together, or not this model
├── DeviceError             no such device here, for a scorer to run on
├── ScoreError              a model that gives scores which are no numbers
├── ParityError             a reference file that cannot be compared with
├── DataError               samples or vectors that cannot be read: file, column and row are named
├── EvaluationError         scores that cannot be judged, or reports that cannot be compared
│   └── PlotError               no plot can be drawn here
├── TrainingError           a run that cannot go on: a loss that is no number, a run directory of another configuration
├── StoreError              a model store that cannot give what was asked for
│   ├── StoreUnreachableError   its location does not answer, or is none
│   ├── StoreMissingError       it has no such model
│   ├── StoreNameError          a name that no model can have, or that is taken
│   ├── StoreDigestError        the model of that name has another digest than asked for
│   └── StoreIncompleteError    a model of which a part is missing or wrong: half-written, cut, changed
└── ArtefactError           an artefact that cannot be used; the one in service stays
    ├── ArtefactMissingError    no artefact at this path
    ├── ArtefactExistsError     the path to save to is taken
    ├── ArtefactFormatError     unknown format or version, or a manifest that cannot be read
    ├── ArtefactCorruptError    digest, shapes, dtypes or values are not what the manifest says
    └── ArtefactMismatchError   sound, but made for other features or another vector space
"""

from __future__ import annotations


class EsuError(Exception):
    """Base of all errors of this room."""


class FeatureError(EsuError, ValueError):
    """A feature list or layer list that no network can have: a wrong name, width or order."""


class VocabularyError(EsuError, ValueError):
    """Ids that cannot be a vocabulary: not int64, not strictly ascending, or the missing id 0 among them."""


class BatchError(EsuError, ValueError):
    """A `ScoreBatch` whose arrays do not fit together, or do not fit the model's features."""


class DeviceError(EsuError, RuntimeError):
    """The device named for a scorer is not here. Operator action: set `model.device` to cpu, or mend the driver."""


class ScoreError(EsuError, ArithmeticError):
    """A model gave scores that are not finite. Operator action: go back to the artefact before."""


class ParityError(EsuError, ValueError):
    """A reference file that lacks an array or has one of an impossible shape."""


class DataError(EsuError, ValueError):
    """Samples, histories or vectors that cannot be used. The text names file, column and row, and what was expected."""


class EvaluationError(EsuError, ValueError):
    """Scores that cannot be judged: of unequal lengths, not probabilities, or not of the same samples."""


class PlotError(EvaluationError):
    """No plot can be drawn. Operator action: install muse-stream[plots]; the tables say the same."""


class TrainingError(EsuError):
    """A training run that cannot go on. Operator action: as the text says; what was saved stays."""


class StoreError(EsuError):
    """A model store that cannot give what was asked for. Operator action: as the text says; what serves goes on."""


class StoreUnreachableError(StoreError):
    """The location does not answer, refuses, or is of no kind that fsspec knows."""


class StoreMissingError(StoreError):
    """The store has no model of this name or digest."""


class StoreNameError(StoreError):
    """A name that no model can have, or that is taken: models of a store are never overwritten."""


class StoreDigestError(StoreError):
    """The model of that name has another digest than asked for: somebody replaced it."""


class StoreIncompleteError(StoreError):
    """A part of the model is missing or wrong: it was cut, changed, or is being written."""


class ArtefactError(EsuError):
    """An artefact that cannot be used. Operator action: keep serving the old one, fetch or rebuild this one."""


class ArtefactMissingError(ArtefactError, FileNotFoundError):
    """No artefact at this path, or only one of its two files."""


class ArtefactExistsError(ArtefactError, FileExistsError):
    """The path to save to is taken: artefacts are never overwritten."""


class ArtefactFormatError(ArtefactError, ValueError):
    """The manifest cannot be read, or is of a format or version that this release does not know."""


class ArtefactCorruptError(ArtefactError, ValueError):
    """Digest, tensor names, shapes, dtypes or values are not what the manifest says."""


class ArtefactMismatchError(ArtefactError, ValueError):
    """A sound artefact, but made for other features or another vector space than asked for."""
