"""The peers of `benchmarks.ingest`, each run in a process of its own: read a log of JSON behaviours, say the rate.

    python benchmarks/ingest_peers.py NAME BOOTSTRAP TOPIC ROWS

The last line of the output is `{"rate": records per second}`, from the first record to the last of ROWS, so that
joining the group and opening state are not counted. All use their own defaults apart from what is named here. Nothing
of ours is imported, so that a peer can run where only it is installed.
"""

import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTITIONS = 8


class Meter:
    """Ends the process at the last record."""

    def __init__(self, rows: int) -> None:
        self._left = rows
        self._rows = rows
        self._began = 0.0

    def record(self) -> None:
        """Count one."""
        if self._left == self._rows:
            self._began = time.perf_counter()
        self._left -= 1
        if self._left == 0:
            rate = (self._rows - 1) / (time.perf_counter() - self._began)
            os.write(1, json.dumps({"rate": rate}).encode() + b"\n")  # Faust sends sys.stdout to its log
            os._exit(0)  # a framework's own way out takes seconds and may hang


def _faust_app(bootstrap: str, directory: Path) -> Any:  # noqa: ANN401 - Faust has no types
    import faust  # noqa: PLC0415 - only the chosen peer is imported

    return faust.App(
        f"peer-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{bootstrap}",
        datadir=str(directory),
        store="rocksdb://?driver=rocksdict",
        topic_partitions=PARTITIONS,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )


def _run_faust(app: Any) -> None:  # noqa: ANN401 - Faust has no types
    from mode import Worker  # noqa: PLC0415 - only the chosen peer is imported

    Worker(app, loglevel="WARNING").execute_from_commandline()


def faust_agent(bootstrap: str, topic: str, meter: Meter, directory: Path) -> None:
    """A Faust agent that counts and does nothing else."""
    app = _faust_app(bootstrap, directory)

    @app.agent(app.topic(topic, value_serializer="json"))  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:  # noqa: ANN401 - Faust has no types
        async for _ in stream:
            meter.record()

    _run_faust(app)


def faust_table(bootstrap: str, topic: str, meter: Meter, directory: Path) -> None:
    """A Faust table on RocksDB with a count per user."""
    app = _faust_app(bootstrap, directory)
    counts = app.Table("counts", default=int, partitions=PARTITIONS)

    @app.agent(app.topic(topic, key_type=bytes, value_serializer="json"))  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:  # noqa: ANN401 - Faust has no types
        async for key, _ in stream.items():  # noqa: PERF102 - a stream, not a dict
            counts[key.decode()] += 1
            meter.record()

    _run_faust(app)


def quix(bootstrap: str, topic: str, meter: Meter, directory: Path) -> None:
    """Quix Streams with a count per user in its state."""
    from quixstreams import Application  # noqa: PLC0415 - only the chosen peer is imported

    app = Application(
        broker_address=bootstrap,
        consumer_group=f"peer-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        state_dir=str(directory),
        loglevel="WARNING",
    )

    def count(_: Any, state: Any) -> None:  # noqa: ANN401 - the peer's own
        state.set("count", state.get("count", 0) + 1)
        meter.record()

    app.dataframe(app.topic(topic, value_deserializer="json")).update(count, stateful=True)
    app.run()


PEERS: dict[str, Callable[[str, str, Meter, Path], None]] = {
    "Faust agent that counts": faust_agent,
    "Faust table": faust_table,
    "Quix Streams stateful": quix,
}


def main(name: str, bootstrap: str, topic: str, rows: str) -> None:
    """Run one peer."""
    directory = Path(tempfile.mkdtemp(prefix="muse-stream-peer-"))
    sys.argv = [sys.argv[0]]
    PEERS[name](bootstrap, topic, Meter(int(rows)), directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
