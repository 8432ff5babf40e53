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
from muse_stream.streams.wire.answers import Answer, decode_answer
from muse_stream.streams.wire.features import Behaviours, CandidateFeatures, Features
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
    features, positions, window, told = answer.features, answer.positions, answer.window, answer.behaviours
    if features is None or positions is None or window is None or answer.user is None or told is None:
        return None
    if not _is_whole(told, features):
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
    read = _features(told, features, (window.start, window.stop), shape, length)
    at = (positions.behaviours.offset, positions.users, positions.items)
    candidates = [place[int(impressions.item[row])] for row in found]
    return Taken(np.array(found, np.int64), np.array(candidates, np.int64), read, positions.behaviours.partition, at)


def _features(
    told: Behaviours, features: Features, window: tuple[int, int], shape: Shape, length: int
) -> RequestFeatures:
    """The columns that the answer was written from."""
    candidates = features.candidates
    history, categories = _history(told, features.history_rows, window[1])
    newest = newest_of(history, length)
    rows = _wide([one.row for one in candidates], shape.k, np.int64, -1)
    table = (np.array([*column, empty], np.int64) for column, empty in zip(_columns(told), (-1, 0, 0), strict=True))
    positions, items, item_categories = (column[rows] for column in table)
    return RequestFeatures(
        user=np.array(features.user, np.int64),
        candidates=np.array([one.values for one in candidates], np.int64),
        history=newest,
        categories=categories[len(history) - len(newest) :],
        window=window,
        positions=positions,
        items=items,
        item_categories=item_categories,
        cosines=_wide([one.cosine for one in candidates], shape.k, np.float32, 0),
        recent_cosines=_wide([one.recent_cosine for one in candidates], shape.r, np.float32, 0),
        recent_present=_wide([_present(one) for one in candidates], shape.r, np.bool_, 0),
    )


def _is_whole(told: Behaviours, features: Features) -> bool:
    """Whether every row that is named stands in the table."""
    lengths = {len(told.position), len(told.item), len(told.category), len(told.time_ms), len(told.action)}
    named = [row for one in features.candidates for row in one.row]
    return (
        len(lengths) == 1
        and 0 <= features.history_rows <= len(told.position)
        and all(0 <= row < len(told.position) for row in named)
        and all(len(one.row) == len(one.cosine) for one in features.candidates)
    )


def _columns(told: Behaviours) -> tuple[list[int], ...]:
    return told.position, told.item, told.category


def _history(told: Behaviours, count: int, stop: int) -> tuple[History, I64]:
    """The newest `count` behaviours of the table, of which the last lies before `stop`, and their categories."""
    rows = np.zeros(count, BEHAVIOUR)
    first = len(told.position) - count
    for name in ("item", "time_ms", "action"):
        rows[name] = getattr(told, name)[first:]
    return History(told.position[first] if count else stop, rows), np.array(told.category[first:], np.int64)


def _present(one: CandidateFeatures) -> list[bool]:
    absent = set(one.recent_absent)
    return [place not in absent for place in range(len(one.recent_cosine))]


def _wide(lists: list[Any], width: int, kind: type, empty: int) -> NDArray[Any]:
    """Ragged lists as `[C, width]`."""
    cells: NDArray[Any] = np.full((len(lists), width), empty, kind)
    for row, found in enumerate(lists):
        cells[row, : len(found)] = found
    return cells
