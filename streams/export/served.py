"""Samples of features that were logged with answers: nothing is replayed, what was read then is written.

An impression finds its answer by `request_id` and user, and its candidate by the item. Of answers that came more than
once the first counts: any of them is right at its positions, and one of them was used.

Invariant: an impression without such an answer is left out, never filled in.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.columns import Sequence as History
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.columns import Taken
from muse_stream.streams.export.impressions import I64, NOBODY, Impressions
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.export.replay import LeftOut
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.export.tape import Tape
from muse_stream.streams.serving.features import RequestFeatures, newest_of
from muse_stream.streams.wire.answers import Answer, CandidateFeatures, FeatureHistory, Features, decode_answer
from muse_stream.streams.wire.ids import id_of

EVER = 2**63 - 1


def served(impressions: Impressions, tapes: Iterable[Tape], shape: Shape, length: int) -> Iterator[Taken | LeftOut]:
    """Samples in the order of the answers; what has none comes last.

    Raises:
        ExportError: Features of another model than the settings name.

    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for number, request in enumerate(impressions.request or ()):
        rows_of[request].append(number)
    open_rows = impressions.partition != NOBODY
    yield LeftOut(np.flatnonzero(~open_rows), Reason.RESERVED)
    for answer in _answers(tapes):
        rows = np.array([row for row in rows_of.get(answer.request_id or "", ()) if open_rows[row]], np.int64)
        taken = _taken(answer, rows, impressions, shape, length) if len(rows) else None
        if taken is not None:
            open_rows[taken.rows] = False
            yield taken
    yield LeftOut(np.flatnonzero(open_rows), Reason.NOT_SERVED)


def _answers(tapes: Iterable[Tape]) -> Iterator[Answer]:
    for tape in tapes:
        for piece in tape.before(None, EVER):
            for value in piece.records().values:
                try:
                    answer = decode_answer(value or b"")
                except msgspec.DecodeError:
                    continue
                if answer.features is not None:
                    yield answer


def _taken(answer: Answer, rows: I64, impressions: Impressions, shape: Shape, length: int) -> Taken | None:
    features, positions, window = answer.features, answer.positions, answer.window
    if features is None or positions is None or window is None or answer.user is None:
        return None
    names = (tuple(features.candidate_names), tuple(features.user_names))
    if names != (shape.spec.candidate_names, shape.spec.user_names):
        message = (
            f"the answer to {answer.request_id!r} has the features {names}, the model of the settings reads "
            f"{(shape.spec.candidate_names, shape.spec.user_names)}; name the model that answered (model.path)"
        )
        raise ExportError(message)
    place = {one.values[0]: number for number, one in reversed(list(enumerate(features.candidates)))}
    mine = impressions.user[rows] == id_of(answer.user)
    found = [int(row) for row in rows[mine] if int(impressions.item[row]) in place]
    if not found:
        return None
    read = _features(features, (window.start, window.stop), shape, length)
    at = (positions.behaviours.offset, positions.users, positions.items)
    candidates = [place[int(impressions.item[row])] for row in found]
    return Taken(np.array(found, np.int64), np.array(candidates, np.int64), read, positions.behaviours.partition, at)


def _features(features: Features, window: tuple[int, int], shape: Shape, length: int) -> RequestFeatures:
    """The columns that the answer was written from."""
    history = newest_of(_history(features.history), length)
    candidates = features.candidates
    return RequestFeatures(
        user=np.array(features.user, np.int64),
        candidates=np.array([one.values for one in candidates], np.int64),
        history=history,
        categories=np.array(features.history.category, np.int64)[-len(history) :] if len(history) else _NONE,
        window=window,
        positions=_wide(candidates, "position", shape.k, np.int64, -1),
        items=_wide(candidates, "item", shape.k, np.int64, 0),
        item_categories=_wide(candidates, "category", shape.k, np.int64, 0),
        cosines=_wide(candidates, "cosine", shape.k, np.float32, 0),
        recent_cosines=_wide(candidates, "recent_cosine", shape.r, np.float32, 0),
        recent_present=_wide(candidates, "recent_present", shape.r, np.bool_, 0),
    )


_NONE: I64 = np.empty(0, np.int64)


def _history(sent: FeatureHistory) -> History:
    rows = np.zeros(len(sent.item), BEHAVIOUR)
    for name in ("item", "time_ms", "action"):
        rows[name] = getattr(sent, name)
    return History(sent.start, rows)


def _wide(candidates: list[CandidateFeatures], name: str, width: int, kind: type, empty: int) -> NDArray[Any]:
    """Ragged lists as `[C, width]`."""
    cells: NDArray[Any] = np.full((len(candidates), width), empty, kind)
    for row, one in enumerate(candidates):
        found = getattr(one, name)
        cells[row, : len(found)] = found
    return cells
