"""What a person sees of a user: profile, length, last behaviours with titles."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.moment import Moment
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.users import decode_profile


def user_document(
    user: str,
    partition: int,
    moment: Moment,
    *,
    titles: Callable[[NDArray[np.int64]], list[str | None]],
    limit: int,
    actions: Mapping[str, int],
) -> dict[str, Any]:
    """Profile and the last `limit` behaviours, newest first.

    Args:
        user: The user's text id.
        partition: Its partition.
        moment: A view of that partition's store.
        titles: Titles of item ids `[n] int64`.
        limit: Behaviours shown.
        actions: Names of actions and their codes.

    """
    number = id_of(user)
    history = moment.sequence(number)
    rows = history.rows[-limit:][::-1]
    names = {code: name for name, code in actions.items()}
    items = np.ascontiguousarray(rows["item"])
    behaviours = [
        {
            "position": history.stop - 1 - place,
            "item": int(row["item"]),
            "title": title,
            "action": names.get(int(row["action"]), int(row["action"])),
            "time_ms": int(row["time_ms"]),
            "category": int(row["category"]),
        }
        for place, (row, title) in enumerate(zip(rows, titles(items), strict=True))
    ]
    return {
        "user": user,
        "id": number,
        "partition": partition,
        "position": moment.position,
        "watermark_ms": moment.watermark_ms,
        "profile": decode_profile(moment.profile(number)),
        "history_start": history.start,
        "history_length": len(history),
        "behaviours": behaviours,
    }
