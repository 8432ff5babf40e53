"""General search unit: for every candidate the K most similar behaviours of a user's whole history, exactly."""

from muse_stream.gsu_engine.contract import HistorySource, SearchBatch, SearchResult
from muse_stream.gsu_engine.engine import GsuEngine
from muse_stream.gsu_engine.errors import BackendError, BatchError, BudgetError, GsuError, VectorError, WindowError
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.quantise import quantise
from muse_stream.gsu_engine.rehearsal import rehearse
from muse_stream.gsu_engine.stats import EngineStats
from muse_stream.gsu_engine.table import VectorTable

__all__ = [
    "BackendError",
    "BatchError",
    "BudgetError",
    "EngineStats",
    "GsuEngine",
    "GsuError",
    "HistorySource",
    "ItemIndex",
    "SearchBatch",
    "SearchResult",
    "VectorError",
    "VectorTable",
    "WindowError",
    "quantise",
    "rehearse",
]
