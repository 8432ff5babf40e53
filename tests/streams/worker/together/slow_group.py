"""A worker whose group takes its time to agree: a second lies between losing partitions and being given them.

The product has no such hook: what follows the assignment is caught here, from outside.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from muse_stream.streams.cli import main
from muse_stream.streams.worker.copies import OwnedCopies

AGREE_SECONDS = 1.0
assigned = OwnedCopies.assigned


async def late(copies: OwnedCopies, partitions: frozenset[int]) -> None:
    await asyncio.sleep(AGREE_SECONDS)
    await assigned(copies, partitions)


if __name__ == "__main__":
    OwnedCopies.assigned = late  # type: ignore[assignment, method-assign]
    sys.exit(main(sys.argv[1:]))
