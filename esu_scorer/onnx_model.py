"""Serves an `OnnxArtefact` with ONNX Runtime, on the CPU.

Invariant: a model that exists has scored: any id, full and empty histories, candidates alone and together, each time
with finite probabilities that do not depend on who else is in the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.batch import Float32, ScoreBatch
from muse_stream.esu_scorer.columns import check_columns, with_cosines
from muse_stream.esu_scorer.devices import Cosines
from muse_stream.esu_scorer.errors import ArtefactCorruptError, BatchError, ScoreError
from muse_stream.esu_scorer.onnx_artefact import OnnxArtefact
from muse_stream.esu_scorer.onnx_graph import INPUTS, OUTPUT, package, widths_of
from muse_stream.esu_scorer.served import ModelInfo

Columns = dict[str, npt.NDArray[np.generic]]

ROWS_AT_ONCE = 1024
"""Candidates per run: at K = R = 50 their inputs take 3 MB, so a giant request needs little more than a usual one."""

SMOKE_IDS = (0, 1, -1, 7, 2**62 + 1, -(2**63))
ALONE_TOLERANCE = 1e-5
"""A graph's matrix products may sum in another order for another number of rows; what differs more reads other rows."""


class OnnxModel:
    """A `ServedModel` out of an ONNX graph. Thread-safe."""

    def __init__(self, artefact: OnnxArtefact, threads: int = 1) -> None:
        """Make the session and try it. Raises `ArtefactFormatError`: no onnxruntime; `ArtefactCorruptError`."""
        self._info = artefact.info()
        self._where = f"artefact {self._info.version!r} ({self._info.digest[:16]}…)"
        self._session = _session(artefact.graph, threads, self._where)
        self._inputs = tuple(value.name for value in self._session.get_inputs())
        self._try()

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        return self._info

    @property
    def device(self) -> str:
        """Where it scores."""
        return "cpu"

    def score(self, batch: ScoreBatch, cosines: Cosines | None = None) -> Float32:
        """As `ServedModel` says. Raises `BatchError`, `ScoreError`."""
        check_columns(batch, self._info.spec)
        if cosines is not None:
            batch = with_cosines(batch, cosines)
        count = batch.candidate_count
        scores: Float32 = np.empty(count, np.float32)
        for first in range(0, count, ROWS_AT_ONCE):
            rows = slice(first, min(first + ROWS_AT_ONCE, count))
            scores[rows] = self._run(columns_of(batch, rows, self._info, self._inputs))
        if not np.isfinite(scores).all():
            wrong = int((~np.isfinite(scores)).sum())
            msg = f"{self._where} gave {wrong} of {count} scores that are not finite; activate the artefact before it"
            raise ScoreError(msg)
        return scores

    def _run(self, columns: Columns) -> Float32:
        try:
            scores: Float32 = self._session.run([OUTPUT], columns)[0]
        except Exception as error:  # onnxruntime's own exceptions have no public home
            msg = f"{self._where} failed inside the graph: {error}; activate the artefact before it"
            raise ScoreError(msg) from error
        rows = len(next(iter(columns.values())))
        if scores.shape != (rows,):
            msg = f"{self._where} gave scores of shape {scores.shape} for {rows} candidates; activate the one before it"
            raise ScoreError(msg)
        return scores

    def _try(self) -> None:
        batch = smoke_batch(self._info)
        try:
            together = self.score(batch)
            alone = np.concatenate([self.score(part) for part in batch.split()])
        except ScoreError as error:
            msg = f"{error} (tried with any int64 ids, histories full and empty: a graph must take them all)"
            raise ArtefactCorruptError(msg) from error
        if together.min() < 0 or together.max() > 1:
            msg = f"{self._where} gave {together.min():g} to {together.max():g}, expected probabilities, 0 to 1"
            raise ArtefactCorruptError(msg)
        worst = float(np.abs(together - alone).max())
        if worst > ALONE_TOLERANCE:
            msg = (
                f"{self._where} scores a candidate otherwise when others are in the batch (by {worst:.1e}); row t of "
                f"the output may depend on row t of the inputs alone"
            )
            raise ArtefactCorruptError(msg)


def columns_of(batch: ScoreBatch, rows: slice, info: ModelInfo, names: tuple[str, ...]) -> Columns:
    """The inputs with these names for some candidates, as `onnx_graph` says. Raises `BatchError`: R or K too long."""
    owners, widths = batch.owners()[rows], widths_of(info)
    near = batch.recent_mask[owners]
    made: Columns = {}
    for name in names:
        column = getattr(batch, name)
        column = column[owners] if name in _OF_USERS else column[rows]
        if name == "recent_cosine_present":
            column = column & near
        if name in _MASKED:
            mask = near if _MASKED[name] == "recent_mask" else getattr(batch, _MASKED[name])[rows]
            column = np.where(mask & near if name == "recent_cosine" else mask, column, column.dtype.type(0))
        made[name] = _as_wide(name, column, widths[INPUTS[name][1]])
    return made


_OF_USERS = frozenset({"user_features", "recent_item", "recent_category", "recent_mask"})
_MASKED = {
    "recent_item": "recent_mask",
    "recent_category": "recent_mask",
    "recent_cosine": "recent_cosine_present",
    "retrieved_item": "retrieved_mask",
    "retrieved_category": "retrieved_mask",
    "retrieved_cosine": "retrieved_mask",
}


def _as_wide(name: str, column: npt.NDArray[np.generic], width: int) -> npt.NDArray[np.generic]:
    missing = width - column.shape[1]
    if missing < 0:
        msg = f"{name} has {column.shape[1]} columns, this model reads {width}: cut the histories to k and r"
        raise BatchError(msg)
    return np.pad(column, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(column)


def smoke_batch(info: ModelInfo) -> ScoreBatch:
    """Two users of three candidates and one of none: any ids, histories full, half full and empty."""
    rng = np.random.default_rng(0)
    widths = widths_of(info)

    def ids(rows: int, letter: str) -> npt.NDArray[np.int64]:
        return rng.choice(np.array(SMOKE_IDS), (rows, widths[letter]))

    def mask(rows: int, letter: str) -> npt.NDArray[np.bool_]:
        return rng.random((rows, widths[letter])) < np.resize([1.0, 0.5, 0.0], rows)[:, None]

    def cosines(letter: str) -> Float32:
        return rng.uniform(-1, 1, (6, widths[letter])).astype(np.float32)

    return ScoreBatch(
        user_features=ids(3, "U"),
        recent_item=ids(3, "R"),
        recent_category=ids(3, "R"),
        recent_mask=mask(3, "R"),
        bounds=np.array([0, 3, 5, 6]),
        candidate_features=ids(6, "F"),
        recent_cosine=cosines("R"),
        recent_cosine_present=mask(6, "R"),
        retrieved_item=ids(6, "K"),
        retrieved_category=ids(6, "K"),
        retrieved_cosine=cosines("K"),
        retrieved_mask=mask(6, "K"),
    )


def _session(graph: bytes, threads: int, where: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: they come as exceptions as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would take the cores
    try:
        return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no public home
        msg = f"{where} cannot be run by onnxruntime {runtime.__version__}: {error}; export it for an older opset"
        raise ArtefactCorruptError(msg) from error
