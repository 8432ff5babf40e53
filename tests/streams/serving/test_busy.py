"""The share of the last seconds in which work was under way."""

from muse_stream.streams.serving.busy import NOTES, Busy


class Timeline:
    def __init__(self) -> None:
        self.now = 1000.0
        self.busy = Busy(lambda: self.now)

    def idle(self, seconds: float) -> None:
        self.now += seconds

    def work(self, seconds: float) -> None:
        self.busy.begin()
        self.now += seconds
        self.busy.end()

    def share(self) -> float:
        return round(self.busy.share(), 3)


def test_nothing_done_is_nothing() -> None:
    timeline = Timeline()
    timeline.idle(50)
    assert timeline.share() == 0


def test_many_short_pieces_add_up() -> None:
    timeline = Timeline()
    for _ in range(30_000):
        timeline.work(0.001)
        timeline.idle(0.003)
    assert timeline.share() == 0.25
    assert len(timeline.busy._notes) <= NOTES


def test_the_work_of_the_first_seconds_is_a_share_of_the_whole_window() -> None:
    timeline = Timeline()
    timeline.work(2)
    assert timeline.share() == 0.2


def test_what_was_done_before_the_window_is_forgotten() -> None:
    timeline = Timeline()
    timeline.work(8)
    timeline.idle(6)
    assert timeline.share() == 0.4
    timeline.idle(60)
    assert timeline.share() == 0
    timeline.work(1)
    assert timeline.share() == 0.1


def test_work_under_way_counts_up_to_now() -> None:
    timeline = Timeline()
    timeline.idle(100)
    timeline.busy.begin()
    timeline.now += 5
    assert timeline.share() == 0.5
    timeline.now += 60
    assert timeline.share() == 1
    timeline.busy.end()
    timeline.idle(4)
    assert timeline.share() == 0.6
