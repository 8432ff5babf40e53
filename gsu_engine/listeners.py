"""Who wants to be told of something, without being kept alive by it.

Invariant: a bound method does not keep its object. So an index or a table that outlives an engine does not keep the
engine's memory, that of a GPU above all, and what two of them hold of each other is no cycle: it goes when the last
user lets go of it, not when Python next looks for garbage.
"""

import weakref
from collections.abc import Callable
from types import MethodType

Listener = Callable[[], None]


class Listeners:
    """Callables without arguments, called in the order in which they came.

    One thread at a time changes who they are; telling may overlap with that.
    """

    def __init__(self) -> None:
        self._references: list[Callable[[], Listener | None]] = []

    def add(self, listener: Listener) -> None:
        """From now on tell it; of a bound method, for as long as its object lives."""
        self._references = [reference for reference in self._references if reference() is not None]
        self._references.append(_reference(listener))

    def remove(self, listener: Listener) -> None:
        """Tell it no more."""
        self._references = [reference for reference in self._references if reference() not in (None, listener)]

    def tell(self) -> None:
        """Call all that are left."""
        for reference in self._references:
            listener = reference()
            if listener is not None:
                listener()


def _reference(listener: Listener) -> Callable[[], Listener | None]:
    if isinstance(listener, MethodType):
        return weakref.WeakMethod(listener)
    return lambda: listener
