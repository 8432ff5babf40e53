"""A worker that can be made to hang as Faust is known to: SIGHUP leaves its partitions without a fetcher.

The product has no such hook: the application that it makes is caught here, from outside.
"""

import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from muse_stream.streams.cli import main
from muse_stream.streams.worker import faust_app

made: list[Any] = []
create_app = faust_app.create_app


def remember(*given: Any) -> Any:
    made.append(create_app(*given))
    return made[-1]


def hang(*_: object) -> None:
    app = made[-1]
    app.loop.call_soon_threadsafe(lambda: app.consumer.pause_partitions(app.consumer.assignment()))


if __name__ == "__main__":
    faust_app.create_app = remember  # type: ignore[assignment]
    signal.signal(signal.SIGHUP, hang)
    sys.exit(main(sys.argv[1:]))
