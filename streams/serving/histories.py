"""Histories of the users who were asked about last, kept in memory and read on from the store.

A history of 100 000 behaviours is 2.9 MB in some 400 pieces on disk; a user who is asked about is soon asked about
again, and then only the behaviours in between are new.

Invariant: what is given is what the store's moment holds (`state.remembered`); whatever was read from a store that has
been closed meanwhile is not used. Used by one thread.
"""

import weakref
from collections import OrderedDict
from typing import Protocol

from muse_stream.state.columns import Sequence
from muse_stream.state.moment import Moment
from muse_stream.state.remembered import Remembered

HISTORY_BYTES = 128 << 20
"""40 users with 100 000 behaviours each, or 4 000 with 1 000."""


class Store(Protocol):
    """An open store; only its identity counts."""


class Histories:
    """Least recently asked leave first."""

    def __init__(self, most_bytes: int) -> None:
        """Prepare; `most_bytes` 0 keeps nothing."""
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[int, int], tuple[weakref.ref[Store], Remembered]] = OrderedDict()
        self.nbytes = 0

    def read(self, store: Store, moment: Moment, partition: int, user: int) -> Sequence:
        """The user's live sequence at a moment of the partition's store. Raises what `Moment.sequence` raises."""
        if not self._most_bytes:
            return moment.sequence(user)
        reference, known = self._kept.pop((partition, user), (None, Remembered()))
        self.nbytes -= known.nbytes
        if reference is None or reference() is not store:
            known = Remembered()
        found = moment.sequence(user, known=known)
        self._keep((partition, user), store, known)
        return found

    def _keep(self, key: tuple[int, int], store: Store, known: Remembered) -> None:
        self._kept[key] = (weakref.ref(store), known)
        self.nbytes += known.nbytes
        while self.nbytes > self._most_bytes:
            _, (_, gone) = self._kept.popitem(last=False)
            self.nbytes -= gone.nbytes
