"""The exact search unit: features, network, artefacts, scorer.

Public names are below; everything else in this room is internal to it.
"""

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.batch import ScoreBatch
from muse_stream.esu_scorer.config import MuseConfig
from muse_stream.esu_scorer.devices import Cosines
from muse_stream.esu_scorer.errors import ArtefactError, BatchError, DeviceError, EsuError, StoreError
from muse_stream.esu_scorer.features import Feature, FeatureSpec
from muse_stream.esu_scorer.loading import load_model
from muse_stream.esu_scorer.onnx_artefact import OnnxArtefact
from muse_stream.esu_scorer.onnx_model import OnnxModel
from muse_stream.esu_scorer.scorer import Scorer
from muse_stream.esu_scorer.served import ModelInfo, ServedModel
from muse_stream.esu_scorer.store import Entry, ModelStore
from muse_stream.esu_scorer.vocabulary import Vocabulary

__all__ = [
    "Artefact",
    "ArtefactError",
    "BatchError",
    "Cosines",
    "DeviceError",
    "Entry",
    "EsuError",
    "Feature",
    "FeatureSpec",
    "ModelInfo",
    "ModelStore",
    "MuseConfig",
    "OnnxArtefact",
    "OnnxModel",
    "ScoreBatch",
    "Scorer",
    "ServedModel",
    "StoreError",
    "Vocabulary",
    "load_model",
]
