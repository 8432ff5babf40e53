"""Training: from samples to an artefact, resumable to the bit; and scoring whole parts with what came out."""

from muse_stream.esu_scorer.training.assembly import Assembled, assemble
from muse_stream.esu_scorer.training.config import Progress, Told, TrainingConfig
from muse_stream.esu_scorer.training.outcome import Trained
from muse_stream.esu_scorer.training.run import train
from muse_stream.esu_scorer.training.scoring import score

__all__ = ["Assembled", "Progress", "Told", "Trained", "TrainingConfig", "assemble", "score", "train"]
