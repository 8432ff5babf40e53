"""Users that were dropped lately: who is erased must not come back with a moment read before.

A search brings a moment of `state` with it. Where that was read before an erasure, its answer is right for its moment,
but what it loads may not stay: the pool would go on holding an erased history. So for as long as such a moment can be
around, a dropped user is served from the source and not kept.
"""

import threading
import time
from collections.abc import Callable

from muse_stream.gsu_engine.arrays import I64

OLDEST_MOMENT_SECONDS = 60.0  # a request that is older than a minute is not answered


class LatelyDropped:
    """Remembers dropped users for `OLDEST_MOMENT_SECONDS`. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[int, float] = {}

    def add(self, users: I64) -> None:
        """These were dropped now; those whose time is over are let go."""
        now = self._clock()
        with self._lock:
            self._until = {user: until for user, until in self._until.items() if until > now}
            self._until.update(dict.fromkeys(users.tolist(), now + OLDEST_MOMENT_SECONDS))

    def __contains__(self, user: int) -> bool:
        with self._lock:
            return self._until.get(user, 0.0) > self._clock()
