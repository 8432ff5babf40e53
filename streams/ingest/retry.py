"""When to try again what the disk refused.

Invariant: only trouble that can pass is tried again (a full or read-only disk, a directory that another process still
holds), after a pause that doubles from one second to a minute; what an operator has to decide is not.
"""

from dataclasses import dataclass

from muse_stream.state.errors import StoreDiskError, StoreLockedError, StoreWriteError

FIRST_SECONDS = 1.0
"""A hiccup costs no more than the replay of this long."""
MAX_SECONDS = 60.0
"""An opening costs some tens of milliseconds; who makes space waits no longer than this."""
NEVER = float("inf")


def passes(error: Exception) -> bool:
    """Whether the trouble can pass without anybody's decision."""
    return isinstance(error, StoreWriteError | StoreDiskError | StoreLockedError)


@dataclass(slots=True)
class Retry:
    """The pauses of one store. Used by one thread.

    Attributes:
        at: When to try again; `NEVER` while there is nothing to try.
        failures: Failures so far, without a calm minute between two of them.
        opened_at: When the store was last opened.

    """

    at: float = NEVER
    failures: int = 0
    opened_at: float = NEVER

    def begins(self) -> None:
        """An attempt is under way."""
        self.at, self.opened_at = NEVER, NEVER

    def soon(self, now: float) -> None:
        """What was waited for has come."""
        self.at = now

    def opened(self, now: float) -> None:
        """The attempt got as far as an open store."""
        self.opened_at = now

    def failed(self, error: Exception, now: float) -> str:
        """Set the next attempt, if there is one; what to tell the operator of it."""
        self.at = NEVER
        if not passes(error):
            return ""
        self.failures = 1 if now - self.opened_at > MAX_SECONDS else self.failures + 1
        pause = min(FIRST_SECONDS * 2.0 ** min(self.failures - 1, 10), MAX_SECONDS)
        self.at = now + pause
        return f" It is tried again in {pause:.0f} s, without a restart."
