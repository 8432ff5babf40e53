"""A process that ingests until it is killed; it says its position once, when it has stored something but not all."""

import sys
from pathlib import Path
from threading import Event

ROOT = Path(__file__).resolve().parents[3]


def main(bootstrap: str, behaviours: str, directory: str) -> None:
    sys.path.insert(0, str(ROOT))
    from muse_stream.streams.ingest.sizing import BatchSizer
    from muse_stream.streams.kafka.topics import TopicNames
    from tests.streams.ingest.cluster import Cluster

    names = TopicNames.prefixed(behaviours.removesuffix("behaviours"))
    running = Cluster(bootstrap, names, 2).start(Path(directory), sizer=BatchSizer(records_max=100)).assign(0, 1)
    start = sum(running.position(partition) for partition in (0, 1))
    while (now := sum(running.position(partition) for partition in (0, 1))) < start + 500:
        Event().wait(0.001)
    sys.stdout.write(f"{now}\n")
    sys.stdout.flush()
    Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
