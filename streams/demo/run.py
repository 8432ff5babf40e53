"""The demo, from an empty directory to a summary.

Invariant: what the summary calls stored has been read back user by user through the request path after the stream
ended; it is not what a counter says.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from rich.console import Console

from muse_stream.streams.clients import open_consumer
from muse_stream.streams.demo import long_history, story
from muse_stream.streams.demo.blow import PATIENT, PATIENT_MS, Blow, audit
from muse_stream.streams.demo.live import Figures, View, make_view
from muse_stream.streams.demo.long_history import LongHistory
from muse_stream.streams.demo.requester import Asked, Requester
from muse_stream.streams.demo.scrape import Reading, freshness_ms, scrape
from muse_stream.streams.demo.stage import Stage, set_up
from muse_stream.streams.demo.summary import Summary, quantile
from muse_stream.streams.demo.traffic import Load, Replay, Shop, model_of, stage_times_ms
from muse_stream.streams.demo.worker_process import READY_SECONDS
from muse_stream.streams.errors import DemoError
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Status

LOOK_SECONDS = 0.25
STORED_SECONDS = 30.0  # the stores may lag behind the replay on a busy machine, not for ever
ANSWERED_SECONDS = 30.0
SHED = (Status.EXPIRED, Status.OVERLOAD)
"""Of a prefetch: what it prepares is not worth waiting for; asked again."""
AT_ONCE = 200  # histories read back at once: well below the worker's queue
LOOKS = 9  # events/s are over the last two seconds
RECENT = 200  # requests whose times the live view shows


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen.

    Attributes:
        rate: Behaviours per second.
        request_rate: Requests per second.
        overrides: Settings of the worker by their dotted keys.
        kill: Kill the worker in mid-stream, start it again, and audit its stores at the end.

    """

    rate: float
    request_rate: float
    overrides: Mapping[str, object]
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Streamed:
    """The purchases, sent and stored: how it went."""

    replay: Replay
    asked: list[Asked]
    before: Reading
    after: Reading


class Demo:
    """One run. `play` does everything that ends by itself; the stage stays up until the caller leaves it."""

    def __init__(self, console: Console, options: Options) -> None:
        self._console = console
        self._options = options
        self._begun = time.monotonic()

    def set_up(self) -> AbstractContextManager[Stage]:
        """The stage, as a context manager. Raises `StreamsError`."""
        self._console.print("muse-stream demo: real purchases, a real Kafka, requests answered while they stream in")
        patient = PATIENT if self._options.kill else {}
        return set_up(self._say, {**patient, **self._options.overrides})

    def play(self, stage: Stage) -> Summary:
        """Stream, tell two stories, read everything back. Raises `StreamsError`."""
        shop = Shop(stage.retail)
        with Requester(stage.settings) as requester:
            streamed = self._stream(stage, requester, shop)
            told = self._tell_customer(stage, requester, shop)
            long = long_history.run(stage.settings, stage.retail, requester, shop)
            story.show_long(self._console, stage.retail.catalogue, long)
            self._console.rule("Everything read back")
            asked = [*streamed.asked, told, *long.asked]
            requester.wait(asked, ANSWERED_SECONDS)
            users = [*stage.retail.customers.user.tolist(), long.user]
            stored = read_back(requester, users)
        audited = audit(self._console, stage) if self._options.kill else None
        return replace(self._summary(stage, streamed, long, asked, (stored, requester.repeated)), audit=audited)

    def _stream(self, stage: Stage, requester: Requester, shop: Shop) -> Streamed:
        total = len(stage.retail.behaviours)
        self._say(
            f"replaying {total:,} purchases at {self._options.rate:,.0f}/s, {self._options.request_rate:g} requests/s"
        )
        before = self._scrape(stage) or Reading()
        replay = Replay(stage.settings, stage.retail, self._options.rate)
        load = Load(requester, shop, replay, self._options.request_rate, PATIENT_MS if self._options.kill else None)
        replay.start()
        load.start()
        try:
            with make_view(self._console) as view:
                after = self._watch(stage, replay, load, view, before)
        finally:
            load.stop()
            replay.stop()
        requester.wait(load.asked, ANSWERED_SECONDS)
        return Streamed(replay, load.asked, before, after)

    def _watch(self, stage: Stage, replay: Replay, load: Load, view: View, before: Reading) -> Reading:
        """Show figures until everything sent is stored; returns the last reading."""
        begun, deadline = time.monotonic(), 0.0
        blow = Blow(stage.worker, self._say) if self._options.kill else None
        looks = deque([(begun, before)], maxlen=LOOKS)
        while True:
            finished = replay.done.wait(LOOK_SECONDS)
            if replay.failure is not None:
                raise replay.failure
            if blow is not None:
                blow.look(replay.sent, len(replay.retail.behaviours))
            stage.worker.check_running()
            now = max(self._scrape(stage) or looks[-1][1], looks[-1][1], key=lambda reading: reading.records)
            looks.append((time.monotonic(), now))
            view.update(figures(time.monotonic() - begun, replay, load.asked, before, looks))
            if finished:
                deadline = deadline or time.monotonic() + (READY_SECONDS if blow else STORED_SECONDS)
                if now.records - before.records >= replay.acknowledged or time.monotonic() > deadline:
                    return now
                time.sleep(LOOK_SECONDS)

    def _tell_customer(self, stage: Stage, requester: Requester, shop: Shop) -> Asked:
        user = long_history.busiest(stage.retail)
        asked = requester.ask(user, shop.candidates(), want="both")
        if asked.answer is None or not asked.scored:
            message = f"customer {user} was not ranked: {asked.answer and asked.answer.error}"
            raise DemoError(message)
        story.show_customer(self._console, stage.retail, user, asked.answer, trained=stage.model.trained)
        story.show_model(self._console, asked.answer.model.version if asked.answer.model else "no model", stage.model)
        return asked

    def _summary(
        self,
        stage: Stage,
        streamed: Streamed,
        long: LongHistory,
        asked: list[Asked],
        found: tuple[int, int],
    ) -> Summary:
        stored, repeated = found
        latencies = [one.latency_ms for one in streamed.asked if one.scored]
        model = model_of(asked)
        sent = streamed.replay.acknowledged + long.behaviours
        return Summary(
            behaviours_sent=sent,
            behaviours_stored=stored,
            requests_sent=len(asked),
            requests_answered=sum(one.scored for one in asked),
            requests_refused=sum(one.answer is not None and not one.scored for one in asked),
            answers_repeated=repeated,
            dead_letters=dead_letters(stage.settings),
            seconds=time.monotonic() - self._begun,
            replay_seconds=streamed.replay.seconds,
            behaviours_per_second=streamed.replay.acknowledged / max(streamed.replay.seconds, 1e-9),
            freshness_p50_ms=freshness_ms(streamed.before, streamed.after, 0.5),
            freshness_p99_ms=freshness_ms(streamed.before, streamed.after, 0.99),
            latency_p50_ms=quantile(latencies, 0.5),
            latency_p99_ms=quantile(latencies, 0.99),
            long_history=long.length,
            long_history_retrieval_ms=long.retrieval_ms,
            long_history_again_ms=long.again_ms,
            new_behaviour_visible_ms=long.added.visible_ms,
            model=model.version if model else "",
            model_trained=stage.model.trained,
            model_gauc=stage.model.gauc,
        )

    def _scrape(self, stage: Stage) -> Reading | None:
        return scrape(stage.url, stage.settings.topics.behaviours)

    def _say(self, line: str) -> None:
        self._console.print(f"{time.monotonic() - self._begun:5.1f} s  {line}", highlight=False, soft_wrap=True)


def figures(
    seconds: float, replay: Replay, asked: Sequence[Asked], before: Reading, looks: Sequence[tuple[float, Reading]]
) -> Figures:
    """What the last looks (seconds, reading) say; the rate is over all of them, the rest since `before`."""
    (first_seconds, first), (last_seconds, now) = looks[0], looks[-1]
    recent = [one for one in list(asked)[-RECENT:] if one.scored]
    latencies = [one.latency_ms for one in recent]
    return Figures(
        seconds=seconds,
        sent=replay.sent,
        total=len(replay.retail.behaviours),
        stored=now.records - before.records,
        events_per_second=(now.records - first.records) / max(1e-9, last_seconds - first_seconds),
        freshness_p50_ms=freshness_ms(before, now, 0.5),
        freshness_p99_ms=freshness_ms(before, now, 0.99),
        requests_sent=len(asked),
        requests_answered=sum(one.scored for one in list(asked)),
        latency_p50_ms=quantile(latencies, 0.5),
        latency_p99_ms=quantile(latencies, 0.99),
        retrieval_p50_ms=quantile(stage_times_ms(recent, "gsu"), 0.5),
        scoring_p50_ms=quantile(stage_times_ms(recent, "esu"), 0.5),
    )


def read_back(requester: Requester, users: Sequence[int]) -> int:
    """Behaviours that the stores hold for these users: the sum of the sequence numbers at which their histories end.

    Raises:
        DemoError: A user's history could not be read.

    """
    until = time.monotonic() + ANSWERED_SECONDS
    stops: list[int] = []
    left = list(users)
    while left:
        now, left = left[:AT_ONCE], left[AT_ONCE:]
        sent = [requester.send(user, [], prefetch=True) for user in now]
        requester.wait(sent, ANSWERED_SECONDS)
        for user, one in zip(now, sent, strict=True):
            if one.answer is not None and one.answer.window is not None:
                stops.append(one.answer.window.stop)
            elif one.answer is not None and one.answer.status in SHED and time.monotonic() < until:
                left.append(user)
            else:
                reason = one.answer.error if one.answer else "no answer"
                message = f"the history of user {user} could not be read back: {reason}"
                raise DemoError(message)
    return sum(stops)


def dead_letters(settings: Settings) -> int:
    """Records in the dead-letters topic."""
    consumer = open_consumer(settings)
    try:
        return sum(consumer.end_offsets([(settings.topics.dead_letters, 0)]).values())
    finally:
        consumer.close()
