"""Item vectors: learnt from what is bought together, and others to compare them with; float32, of unit length."""

from muse_stream.esu_scorer.vectors.baselines import DIMENSION, copurchase, random_vectors, tfidf_svd, unit
from muse_stream.esu_scorer.vectors.baskets import Baskets, Purchases, baskets
from muse_stream.esu_scorer.vectors.dense import Features, check_dense, check_items, rows_of
from muse_stream.esu_scorer.vectors.quality import Judging, Quality, judging, quality
from muse_stream.esu_scorer.vectors.scl import Progress, SclConfig, train
from muse_stream.esu_scorer.vectors.text import Bags, hash_texts

__all__ = [
    "DIMENSION",
    "Bags",
    "Baskets",
    "Features",
    "Judging",
    "Progress",
    "Purchases",
    "Quality",
    "SclConfig",
    "baskets",
    "check_dense",
    "check_items",
    "copurchase",
    "hash_texts",
    "judging",
    "quality",
    "random_vectors",
    "rows_of",
    "tfidf_svd",
    "train",
    "unit",
]
