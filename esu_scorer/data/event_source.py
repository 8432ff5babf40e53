"""Samples from a log of events held in memory.

Histories are built once, as flat arrays that all blocks share. Invariant: a sample's window holds the user's
behaviours with a time strictly before its own; what happened at the same moment is not in it, whatever the order of the
rows.

The parts are cut by time: training is the first 80 % of the samples, validation the next 10 %, test the rest; samples
of one moment fall into one part. Blocks come in order of time.

Memory: 34 bytes an event and 25 a behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.data.events import NO_LABEL, POSITIVE, Events
from muse_stream.esu_scorer.data.feature_table import EMPTY, FeatureTable
from muse_stream.esu_scorer.data.item_vectors import Pieces
from muse_stream.esu_scorer.data.shuffle import in_blocks
from muse_stream.esu_scorer.data.source import Part, SourceInfo
from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.features import CATEGORY, EMBEDDING_WIDTH, ITEM, FeatureSpec

Int64 = npt.NDArray[np.int64]
USER = "user"
"""The user's own id as a feature."""
SHARES = (0.8, 0.9)
"""Training ends at the first of the samples in order of time, validation at the second."""


class EventSource:
    """A data set in the normal form."""

    def __init__(
        self,
        name: str,
        events: Events,
        *,
        spec: FeatureSpec | None = None,
        items: FeatureTable = EMPTY,
        users: FeatureTable = EMPTY,
        vectors: Callable[[], Iterator[Pieces]] | None = None,
        caveat: str = "",
        block: int = 1000,
        window: int = 50_000,
    ) -> None:
        """Build the histories and cut the parts.

        Args:
            name: Of the data set.
            events: The log.
            spec: Features; None = item, category and all of `items`; `user` (the id) and all of `users`.
            items: Further features of items, by the names of the spec.
            users: Further features of users.
            vectors: Item vectors; None = the data set has none.
            caveat: What every table of results must say.
            block: Samples of a block.
            window: Samples to shuffle among.

        Raises:
            DataError: No event has a label, or the spec names a feature that is in no table.

        """
        self._spec = spec or default_spec(items, users)
        _check_spec(self._spec, items, users)
        self._items, self._users, self._vectors = items, users, vectors
        self._block, self._window = block, window
        sampled = np.flatnonzero(events.label != NO_LABEL)
        if not len(sampled):
            msg = f"{name}: no event has a label, so there are no samples; expected labels 0 and 1 in column 'label'"
            raise DataError(msg)
        self._events = events
        self._order = sampled[np.argsort(events.time_ms[sampled], kind="stable")]
        self._histories = histories_of(events)
        self._bounds = _parts(events.time_ms[self._order])
        counts = {part: high - low for part, (low, high) in self._bounds.items()}
        self.info = SourceInfo(name, self._spec, caveat, counts)

    @property
    def span_ms(self) -> tuple[int, int]:
        """First and last moment of the samples, milliseconds since the epoch."""
        times = self._events.time_ms[self._order[[0, -1]]]
        return int(times[0]), int(times[1])

    def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
        """Samples of a part, in order of time or shuffled; see `Source`."""
        low, high = self._bounds[part]
        pieces = (self._order[start : min(start + self._block, high)] for start in range(low, high, self._block))
        yield from in_blocks(map(self._samples, pieces), size=self._block, seed=seed, window=self._window)

    def vectors(self) -> Iterator[Pieces]:
        """Item vectors; see `Source`."""
        yield from self._vectors() if self._vectors else ()

    def _samples(self, rows: Int64) -> Block:
        """The events `rows` as samples."""
        events, every = self._events, self._histories
        user, time_ms = events.user[rows], events.time_ms[rows]
        users, owner = np.unique(user, return_inverse=True)
        place = np.searchsorted(every.user, users)
        histories = Histories(users, every.lows[place], every.highs[place], every.behaviours)
        names = self._spec.candidate_names[2:]
        candidate = [events.item[rows], events.category[rows], self._items.look_up(events.item[rows], names)]
        return Block(
            histories=histories,
            owner=owner.astype(np.int64),
            start=np.zeros(len(rows), np.int64),
            stop=_before(histories, owner, time_ms),
            candidate_features=np.column_stack(candidate),
            user_features=self._user_columns(user),
            time_ms=time_ms,
            label=events.label[rows] == POSITIVE,
        )

    def _user_columns(self, user: Int64) -> Int64:
        names = self._spec.user_names
        columns = self._users.look_up(user, [name for name in names if name != USER])
        return np.insert(columns, names.index(USER), user, axis=1) if USER in names else columns


def histories_of(events: Events) -> Histories:
    """All users' behaviours, each in order of time; a user without any has an empty range."""
    users = np.unique(events.user)
    rows = np.flatnonzero((events.label == NO_LABEL) | (events.label == POSITIVE))
    rows = rows[np.argsort(events.user[rows], kind="stable")]  # the log is in order of time within a user
    behaviours = Behaviours(events.item[rows], events.category[rows], events.action[rows], events.time_ms[rows])
    owner = events.user[rows]
    return Histories(users, np.searchsorted(owner, users), np.searchsorted(owner, users, side="right"), behaviours)


def default_spec(items: FeatureTable, users: FeatureTable, width: int = EMBEDDING_WIDTH) -> FeatureSpec:
    """Item, category and all further features, each `width` wide."""
    return FeatureSpec.of(
        {ITEM: width, CATEGORY: width, **dict.fromkeys(items.columns, width)},
        {USER: width, **dict.fromkeys(users.columns, width)},
    )


def _before(histories: Histories, owner: Int64, time_ms: Int64) -> Int64:
    """How many of its user's behaviours are before each sample's time, `[n] int64`: a binary search in all at once."""
    low, high = histories.lows[owner], histories.highs[owner]
    first, times = low, histories.behaviours.time_ms
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = np.zeros(len(owner), np.bool_)
        earlier[open_] = times[middle[open_]] < time_ms[open_]
        low = np.where(open_ & earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low - first


def _parts(times: Int64) -> Mapping[Part, tuple[int, int]]:
    """Which samples, in order of time, are each part's: (first, end)."""
    cuts = [int(np.searchsorted(times, times[int(share * len(times))])) for share in SHARES]
    return {"train": (0, cuts[0]), "validation": (cuts[0], cuts[1]), "test": (cuts[1], len(times))}


def _check_spec(spec: FeatureSpec, items: FeatureTable, users: FeatureTable) -> None:
    known = {"item": set(items.columns), "user": {USER, *users.columns}}
    for kind, names in (("item", spec.candidate_names[2:]), ("user", spec.user_names)):
        for name in names:
            if name not in known[kind]:
                have = ", ".join(sorted(known[kind])) or "none"
                msg = f"the spec names {kind} feature {name!r}, for which there is no column; there are {have}"
                raise DataError(msg)
