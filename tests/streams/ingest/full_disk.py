"""A running ingest service whose disk fills up and gets space again; run by `test_disk_trouble.py` in a child."""

from pathlib import Path

from muse_stream.streams.ingest import retry
from muse_stream.streams.ingest.status import Phase, Stopped
from tests.state.small_disk import Ballast, child, remount
from tests.streams.ingest.fakes import FakeLog, users_of
from tests.streams.ingest.test_service import Worker, until


def fills(disk: Path) -> None:
    """Full, then full and read-only, then with space: it stops, stays stopped, and reads on, twice."""
    retry.FIRST_SECONDS, retry.MAX_SECONDS = 0.2, 0.2
    log, ballast, written = FakeLog(), Ballast(disk), list[int]()
    hurt, well = users_of(0, 1)[0], users_of(1, 1)[0]
    disk_of_the_other = disk.parent / "elsewhere"
    disk_of_the_other.mkdir(exist_ok=True)
    (disk / "behaviours-1").symlink_to(disk_of_the_other)
    worker = Worker(disk, log)
    worker.assign(0, 1)
    worker.ready(0, 1)
    for spare in (0, 40_000, 150_000):
        ballast.leave(spare)
        while (state := worker.service.states()[0]).phase is not Phase.FAILED:
            for _ in range(200):
                written.append(len(written) + 1)
                log.behaviour(hurt, written[-1])
                log.behaviour(well, written[-1])
        assert "without a restart" in (state.error or "")
        assert "Operator action" in (state.error or "")
        assert state.stopped is Stopped.STORE
        until(lambda: worker.items(1, well) == written)
        if spare:
            until(lambda: remount(disk, "ro"))
            until(lambda: "Read-only" in (worker.service.states()[0].error or ""))
            remount(disk, "rw")
        ballast.remove()
        worker.ready(0)
        assert worker.items(0, hurt) == written
    worker.service.stop()


if __name__ == "__main__":
    child({"fills": fills})
