"""The request desk: every request that comes in goes out as one answer, or is left to the partition's next owner.

Order of a request: parse, age and deadline, wait until this worker's copy of the partition may answer (`readiness`) and
is past the client's "not before", wait for a place in a pass, compute, encode. Whatever fails on the way, or is shed
because there is too much to do, has a defined answer; silence is kept only for a partition that left this worker,
because the next owner will answer.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving import answers
from muse_stream.streams.serving.batcher import Batcher, Bounds, Passed
from muse_stream.streams.serving.cost import CostModel
from muse_stream.streams.serving.explainer import Explainer, is_open
from muse_stream.streams.serving.features import in_share
from muse_stream.streams.serving.pipeline import Ask, Found, Pipeline, SpaceError
from muse_stream.streams.serving.predictions import Predictions
from muse_stream.streams.serving.readiness import Copies, LateCopyError, Readiness, catching_up
from muse_stream.streams.serving.shed import (
    NOBODY,
    ExpiredError,
    OverdueStage,
    QueueFullError,
    ShedError,
    ShedReason,
    Watch,
)
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.answers import Answer, Part, Status, encode_answer
from muse_stream.streams.wire.ids import is_reserved
from muse_stream.streams.wire.requests import BadRequest, Request, RequestRules, parse_request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the serving settings, in their units."""

    age_max_ms: int
    deadline_default_ms: int
    ready_wait_ms: int
    answer_max_bytes: int
    queue_max: int
    pass_ms_max: float
    batch_candidates_max: int
    batch_window_ms: float
    features_share: float = 0.0
    stale_max_seconds: float = 0.0

    @property
    def of_passes(self) -> Bounds:
        """Those of passes and their queue."""
        return Bounds(self.pass_ms_max, self.batch_candidates_max, self.queue_max, self.batch_window_ms)


@dataclass(frozen=True, slots=True)
class Reply:
    """An encoded answer and what monitoring wants to know of it.

    Attributes:
        status: How the request ended.
        body: The answer's bytes.
        clock: Where the time went; whoever delivers the answer marks that, too.
        candidates: Candidates of the request, 0 where none could be read.
        history_length: Behaviours searched, None where nothing was searched.
        request_id: The request's own id, empty where none could be read.
        user: The request's key, empty where none could be read.
        left_out: What was asked for and did not come.
        stale_seconds: How late the copy was, where the answer is marked so.
        retry_after_ms: When to ask again, where that is known.

    """

    status: Status
    body: bytes
    clock: StageClock = field(default_factory=StageClock)
    candidates: int = 0
    history_length: int | None = None
    request_id: str = ""
    user: str = ""
    left_out: Sequence[Part] = ()
    stale_seconds: float | None = None
    retry_after_ms: int | None = None


_Result = Reply | Found | PartitionNotHereError
"""What a pass gives for one ask that was computed, is still to be explained, or is not ours."""


class Desk:
    """Answers requests on one event loop; `start` and `stop` on that loop.

    Args:
        pipeline: Computes passes, in a thread of the desk's own.
        copies: Readiness of this worker's partitions.
        rules: What is accepted.
        limits: Bounds.
        has_model: Whether a model is in service.
        watch: Counts passes, requests that are shed, deadlines that passed.
        first: Entered while a pass is computed, in the desk's thread: what can wait does.
        now_ms: Wall clock in milliseconds since the epoch, compared with brokers' times.

    """

    def __init__(
        self,
        pipeline: Pipeline,
        copies: Copies,
        rules: RequestRules,
        limits: Limits,
        *,
        has_model: Callable[[], bool],
        watch: Watch = NOBODY,
        first: AbstractContextManager[None] | None = None,
        now_ms: Callable[[], float] = lambda: time.time() * 1e3,
    ) -> None:
        self._pipeline = pipeline
        self._readiness = Readiness(copies, limits.ready_wait_ms, limits.stale_max_seconds)
        self._rules = rules
        self._limits = limits
        self._has_model = has_model
        self._now_ms = now_ms
        self._explainer = Explainer(self._fitting)
        self._watch = watch
        self._first = first or nullcontext()
        self.costs = CostModel()
        self._predictions = Predictions(self.costs)
        self._batcher: Batcher[Ask, _Result | ExpiredError] = Batcher(
            self._run_pass,
            limits.of_passes,
            overhead_ms=lambda: self.costs.overhead_ms,
            stretch=lambda: self.costs.stretch,
            on_pass=self._learn,
        )

    @property
    def depth(self) -> int:
        """Requests that wait for a pass."""
        return self._batcher.depth

    @property
    def saturation(self) -> float:
        """Share of the last seconds in which a pass was under way."""
        return self._batcher.saturation

    @property
    def fault(self) -> str | None:
        """Why requests get no passes any more; None while all is well."""
        return self._batcher.fault

    def start(self) -> None:
        """Begin to compute."""
        self._batcher.start()

    async def stop(self) -> None:
        """Finish the pass in flight; what waits is cancelled."""
        await self._batcher.stop()
        self._explainer.stop()

    async def answer(
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int,
        broker_time_ms: float,
        arrived: float | None = None,
        may_stand_in: bool = False,
        trace: str | None = None,
    ) -> Reply | None:
        """Answer one request.

        Args:
            key: The record's key.
            value: The record's value.
            partition: The partition that it came on.
            broker_time_ms: The record's broker time; the deadline counts from it.
            arrived: When it came to this worker, on the clock of `time.perf_counter`; None: just now.
            may_stand_in: Whether nobody else will ever answer it, so that a partition that has just left and that
                nobody owns yet may be answered for.
            trace: Id of the trace that it belongs to, for log lines.

        Returns:
            The reply, or None: the partition is not ours any more and its next owner answers.

        """
        clock = StageClock() if arrived is None else StageClock(arrived)
        clock.mark("accept")
        request = parse_request(key, value, self._rules, partition=partition)
        clock.mark("decode")
        if isinstance(request, BadRequest):
            return _reply(answers.bad(request), clock)
        age_ms = max(0.0, self._now_ms() - broker_time_ms)
        refusal = self._refusal(request, age_ms, partition)
        if refusal is not None:
            return _reply(refusal, clock)
        if in_share(request.user, self._limits.features_share) and not is_reserved(request.user_text):
            request = replace(request, features=True)
        deadline = time.perf_counter() + (self._deadline_ms(request) - age_ms) / 1e3
        reply = await self._compute(Ask(partition, request, deadline, clock, may_stand_in, trace=trace))
        clock.mark("return")
        return reply

    async def _compute(self, ask: Ask) -> Reply | None:
        try:
            admitted = await self._readiness.admit(ask)
            ask.clock.mark("catch_up")
            reply: _Result | Answer = admitted if isinstance(admitted, Answer) else await self._in_turn(admitted)
            if isinstance(reply, Found):
                reply = await self._explainer.reply(ask, reply)
        except PartitionNotHereError as error:
            reply = error
        except Exception:
            log.exception("a pass failed", extra=ask.names)
            reply = answers.faulty(ask.request)
        if isinstance(reply, PartitionNotHereError):
            return None
        return _reply(reply, ask.clock) if isinstance(reply, Answer) else reply

    async def _in_turn(self, ask: Ask) -> _Result | Answer:
        """What a pass gave, or that there is too much to do for one."""
        watch, prefetch = self._watch_of(ask.request), not len(ask.request.items)
        try:
            result = await self._batcher.submit(ask, self._predictions.claim(ask, time.perf_counter()))
            if isinstance(result, ExpiredError):
                raise result
        except ShedError as error:
            reason = ShedReason.QUEUE_FULL if isinstance(error, QueueFullError) else ShedReason.PREDICTED_LATE
            watch.shed(ShedReason.PREFETCH if prefetch else reason)
            return answers.shed(ask.request, error)
        except ExpiredError as error:
            watch.shed(ShedReason.PREFETCH if prefetch else ShedReason.EXPIRED)
            watch.overdue(OverdueStage.QUEUE)
            return answers.refused(ask.request, Status.EXPIRED, "expired", str(error))
        if time.perf_counter() > ask.deadline:
            watch.overdue(OverdueStage.ANSWER)
        return result

    def _deadline_ms(self, request: Request) -> int:
        return min(request.deadline_ms or self._limits.deadline_default_ms, self._limits.age_max_ms)

    def _refusal(self, request: Request, age_ms: float, partition: int) -> Answer | None:
        allowed_ms = self._deadline_ms(request)
        if age_ms >= allowed_ms:
            self._watch_of(request).overdue(OverdueStage.ARRIVAL)
            message = f"the request is {age_ms:.0f} ms old and was worth computing for {allowed_ms} ms"
            return answers.refused(request, Status.EXPIRED, "expired", message)
        if request.want != "retrieved" and len(request.items) and not self._has_model():
            message = "no model is in service; ask for want: retrieved, or wait until one is loaded"
            return answers.refused(request, Status.NOT_READY, "no_model", message)
        before = request.not_before
        if before is not None and before.partition != partition:
            message = f"not_before names partition {before.partition}, this user's behaviours are on {partition}"
            return answers.refused(request, Status.MALFORMED, "wrong_partition", message)
        return None

    def _run_pass(self, asks: Sequence[Ask]) -> list[_Result | ExpiredError]:
        """Compute and encode; in the desk's thread. What is still to be explained comes back as it was found."""
        with self._first:
            late, judged = self._readiness.late(asks), self._readiness.judged
            found = zip(asks, self._pipeline(asks), strict=True)
            return [self._finish(ask, judged(ask, one, late[ask.partition])) for ask, one in found]

    def _watch_of(self, request: Request) -> Watch:
        """Who counts a request; nobody does where it is the canary's."""
        return NOBODY if is_reserved(request.user_text) else self._watch

    def _learn(self, passed: Passed[Ask, _Result | ExpiredError]) -> None:
        counted = sum(not is_reserved(ask.request.user_text) for ask in passed.items)
        if counted:
            self._watch.passed(counted, passed.ms / 1e3, passed.predicted_ms / 1e3)
        self._predictions.learn(passed.items, list(map(_length, passed.results)), passed.ms)

    def _finish(self, ask: Ask, found: Found | Exception) -> _Result | ExpiredError:
        if isinstance(found, PartitionNotHereError | ExpiredError):
            return found
        if isinstance(found, LateCopyError):
            return _reply(catching_up(ask), ask.clock)
        if isinstance(found, SpaceError):
            return _reply(answers.refused(ask.request, Status.MALFORMED, "unknown_space", str(found)), ask.clock)
        if isinstance(found, Exception):
            log.error("partition %d: a read failed", ask.partition, exc_info=found, extra=ask.names)
            return _reply(answers.faulty(ask.request), ask.clock)
        return found if is_open(found) else self._fitting(ask, found)

    def _fitting(self, ask: Ask, found: Found) -> Reply:
        """The computed answer, without what it would be too large for."""
        found_bytes = 0
        for lighter in answers.lighter(found):
            reply = _reply(answers.computed(ask, lighter), ask.clock, len(found.history))
            found_bytes = len(reply.body)
            if found_bytes <= self._limits.answer_max_bytes:
                return reply
        request, limit = ask.request, f"the {self._limits.answer_max_bytes} that are sent"
        answer = answers.oversized(request.request_id, request.user_text, found_bytes, limit)
        return _reply(answer, ask.clock, len(found.history))


def _length(result: _Result | ExpiredError) -> int | None:
    """Behaviours that a result was computed from."""
    if isinstance(result, Found):
        return len(result.history)
    return result.history_length if isinstance(result, Reply) else None


def _reply(answer: Answer, clock: StageClock, history_length: int | None = None) -> Reply:
    body = encode_answer(answer)
    clock.mark("encode")
    return Reply(
        status=answer.status,
        body=body,
        clock=clock,
        candidates=len(answer.candidates or ()),
        history_length=history_length,
        request_id=answer.request_id or "",
        user=answer.user or "",
        left_out=answer.left_out,
        stale_seconds=answer.stale_seconds,
        retry_after_ms=answer.error.retry_after_ms if answer.error else None,
    )
