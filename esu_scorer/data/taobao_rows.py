"""What both layouts of Taobao-MM share: the names of its columns, and from a record batch to a block.

    129_1  user                   205  item         150_2_180  history: items, oldest first, at most 1000
    130_1 .. 130_5  of the user   206  category     151_2_180  history: their categories
    label_0  one-hot: [0, 1]      213, 214  of the item        205_c  an item's vector, 128 int8
             = a click

Ids are hashes over all of int64, 0 = missing. A history has no times: every `time_ms` is 0, and a sample's window is
the whole history. The release writes an empty history as `[0]`: zeros are left out of histories.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.data.joining import lay_out
from muse_stream.esu_scorer.data.parquet import Kind, Lists, Rows

Int64 = npt.NDArray[np.int64]

LABEL, USER, ITEM = "label_0", "129_1", "205"
ITEM_FEATURES = ("206", "213", "214")
USER_FEATURES = ("130_1", "130_2", "130_3", "130_4", "130_5")
HISTORY_ITEMS, HISTORY_CATEGORIES = "150_2_180", "151_2_180"

SAMPLE_COLUMNS = {LABEL: Kind.BYTES, USER: Kind.ID, ITEM: Kind.ID}
ITEM_COLUMNS = {ITEM: Kind.ID, **dict.fromkeys(ITEM_FEATURES, Kind.ID)}
USER_COLUMNS = {
    USER: Kind.ID,
    **dict.fromkeys(USER_FEATURES, Kind.ID),
    HISTORY_ITEMS: Kind.IDS,
    HISTORY_CATEGORIES: Kind.IDS,
}


def labels(rows: Rows) -> npt.NDArray[np.bool_]:
    """True = a click, `[n] bool`. Raises `DataError` unless every label is `[1, 0]` or `[0, 1]`."""
    lists = rows.lists(LABEL)
    wrong = lists.lengths != 2
    if not wrong.any():
        pairs = lists.values.reshape(-1, 2)  # (n, 2)
        wrong = (pairs.min(axis=1, initial=1) != 0) | (pairs.max(axis=1, initial=0) != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = lists.values[lists.offsets[row] : lists.offsets[row + 1]].tolist()
        raise rows.wrong(LABEL, row, f"is {found}, expected [1, 0] (no click) or [0, 1] (a click)")
    clicked: npt.NDArray[np.bool_] = pairs[:, 1] == 1
    return clicked


def histories(rows: Rows) -> tuple[Lists, Lists]:
    """Items and categories of each row's history, without zeros. Raises `DataError` where their lengths differ."""
    items, categories = rows.lists(HISTORY_ITEMS), rows.lists(HISTORY_CATEGORIES)
    differ = items.lengths != categories.lengths
    if differ.any():
        row = int(np.argmax(differ))
        text = (
            f"has {categories.lengths[row]} entries, {HISTORY_ITEMS} has {items.lengths[row]}; expected equal lengths"
        )
        raise rows.wrong(HISTORY_CATEGORIES, row, text)
    present = items.values != 0
    if present.all():
        return items, categories
    offsets = np.concatenate([[0], np.cumsum(present, dtype=np.int64)])[items.offsets]
    return Lists(items.values[present], offsets), Lists(categories.values[present], offsets)


def columns_of(rows: Rows, names: tuple[str, ...]) -> Int64:
    """Id columns side by side, `[n, len(names)] int64`, 0 = missing."""
    return np.stack([rows.ids(name) for name in names], axis=1)


def behaviours_of(items: Int64, categories: Int64) -> Behaviours:
    """Behaviours without actions and times."""
    return Behaviours(items, categories, np.zeros(len(items), np.uint8), np.zeros(len(items), np.int64))


def whole_windows(
    pieces: Histories, piece: Int64, candidate_features: Int64, user_features: Int64, label: npt.NDArray[np.bool_]
) -> Block:
    """Samples whose window is a whole history: sample i has history `piece[i]`.

    A user may occur several times in `pieces`; the block has the user once, with these histories side by side.
    """
    found, owner, shift = pieces, piece, np.zeros(len(pieces.user), np.int64)
    if len(np.unique(pieces.user)) < len(pieces.user):
        source = np.zeros(len(pieces.user), np.int64)
        found, owner_of, shift = lay_out([pieces.behaviours], source, pieces.user, pieces.lows, pieces.highs)
        owner = owner_of[piece]
    return Block(
        histories=found,
        owner=owner,
        start=shift[piece],
        stop=(shift + pieces.highs - pieces.lows)[piece],
        candidate_features=candidate_features,
        user_features=user_features,
        time_ms=np.zeros(len(owner), np.int64),
        label=label,
    )
