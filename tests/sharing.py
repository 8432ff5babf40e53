"""How several processes share the tests (`make test`): what stays together in one of them.

Invariants: one process runs all files that work with brokers, so such tests never compete with each other and share
one broker; the tests of any other file stay together, so its fixtures are made once.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
BROKERS = "brokers"
"""The part that takes longest; it is mostly waiting, which leaves the processor to the others."""


@cache
def part_of(file: str) -> str:
    """Name what a file of tests, relative to the root, belongs to: `BROKERS` where it marks tests `kafka`."""
    return BROKERS if "mark.kafka" in (ROOT / file).read_text(encoding="utf-8") else file


class Sharing(LoadScopeScheduling):
    """Gives a process one part after another, in the order in which their first tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid.split("::")[0])
