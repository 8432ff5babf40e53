"""Where a worker can be made to crash.

Invariant: a crash is no `Exception`: nothing that a worker does about errors can hold it up.
"""

from collections import Counter


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Counts down at every point that a worker passes; raises `Crash` at zero.

    Attributes:
        left: Points until the crash; None: there is none.
        crashes: Where crashes happened.

    """

    def __init__(self, crashes: Counter[str]) -> None:
        self.left: int | None = None
        self.crashes = crashes

    def burn(self, point: str) -> None:
        """Pass a point."""
        if self.left is None:
            return
        self.left -= 1
        if self.left <= 0:
            self.left = None
            self.crashes[point] += 1
            raise Crash(point)
