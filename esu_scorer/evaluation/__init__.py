"""How good a model is: GAUC and other metrics with intervals over users, as a value, a table and a figure."""

from muse_stream.esu_scorer.evaluation.evaluating import difference, evaluate
from muse_stream.esu_scorer.evaluation.metrics import UserAucs, auc, calibration, gauc, log_loss, user_aucs
from muse_stream.esu_scorer.evaluation.plotting import plot
from muse_stream.esu_scorer.evaluation.report import Bin, Bucket, Interval, Report
from muse_stream.esu_scorer.evaluation.scores import Scores
from muse_stream.esu_scorer.evaluation.table import details, table

__all__ = [
    "Bin",
    "Bucket",
    "Interval",
    "Report",
    "Scores",
    "UserAucs",
    "auc",
    "calibration",
    "details",
    "difference",
    "evaluate",
    "gauc",
    "log_loss",
    "plot",
    "table",
    "user_aucs",
]
