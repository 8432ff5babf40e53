"""The verdict: after the last worker has ended, everything against the log, and the report's figures.

Invariant: nothing is compared with what the harness remembers that is not in the log, except what Kafka acknowledged.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from muse_stream.streams.cli.verify_served_command import line_of
from muse_stream.streams.verify.ledger import Wanted
from muse_stream.streams.verify.once import Shows, verify_once
from muse_stream.streams.verify.world import shelf_of
from muse_stream.streams.wire.answers import Status
from tests.chaos import checks
from tests.chaos.copies import Audits, audit_everything, positions
from tests.chaos.faults import Kill
from tests.chaos.plan import PATIENCE_SECONDS
from tests.chaos.report import Times
from tests.streams.worker.log import read_topic

if TYPE_CHECKING:
    from tests.chaos.run import Run

LAST_WORDS_MS = 100
"""An answer that the broker timed so soon after a kill may have left the killed worker before it."""


def verdict(run: "Run") -> None:
    """Compare everything, and fill in the report."""
    members, history = run.fleet.members, run.history
    furthest = positions(members)
    history.read(furthest, PATIENCE_SECONDS)
    report = run.report
    report.differ(_short(furthest, run))
    audits = run.auditor.audits
    audit_everything(run.installation.settings, members, audits)
    report.differ(audits.differences)
    _judge_answers(run)
    report.differ(checks.writes(run.writer.written, history.partitions))
    _judge_letters(run)
    _figures(run, audits)


def _short(furthest: dict[int, int], run: "Run") -> Iterator[str]:
    for number, partition in enumerate(run.history.partitions):
        if furthest.get(number, 0) != partition.end:
            best = furthest.get(number)
            yield f"partition {number}: the log ends at {partition.end}, the best copy stands at {best}"


def _judge_answers(run: "Run") -> None:
    asked, answers = run.requester.asked, run.requester.answers
    run.report.differ(checks.statuses(asked, answers))
    computed = [
        answer for name, got in answers.items() if name in asked for answer, _ in got if answer.status is Status.OK
    ]
    for number, history in enumerate(run.history.partitions):
        mine = [answer for answer in computed if asked[answer.request_id or ""].partition == number]
        run.report.differ(checks.computed(history, asked, mine))
    counts = Counter(str(got[0].answer.status) for name, got in answers.items() if name in asked)
    counts["sent"] = len(asked)
    counts["answered twice"] = sum(len(got) > 1 for got in answers.values())
    counts["unanswered"] = sum(one.acknowledged is not None and name not in answers for name, one in asked.items())
    counts["computed answers checked"] = len(computed)
    run.report.requests = counts
    _verify_served(run)


def _verify_served(run: "Run") -> None:
    """Every answer in the scores topic, those of killed workers included, against the logs: what, and what score."""
    settings = run.installation.settings
    found = verify_once(settings, shelf_of(settings, ()), Wanted(), Shows())
    run.report.differ(line_of(one) for one in found.mismatches if not one.near_step)
    run.report.differ(f"{count} answers not rebuildable: {reason}" for reason, count in found.not_rebuildable.items())
    run.report.requests["answers verified"] = found.compared
    run.report.requests["scores verified"] = found.scores.compared


def _judge_letters(run: "Run") -> None:
    topics = run.installation.topics
    letters = read_topic(run.installation, topics.dead_letters)
    keys = Counter(record.key.decode() for record in letters)
    partitions = run.history.partitions
    run.report.differ(checks.dead_letters(topics.behaviours, run.writer.written.poison, partitions, keys))
    run.report.dead_letters = Counter(letters=len(keys), repeats=keys.total() - len(keys))


def _figures(run: "Run", audits: Audits) -> None:
    report = run.report
    report.faults, report.kills = run.faults.counts, run.faults.killed_count
    report.rebalances = run.watch.rebalances
    report.without_owner = Times.of(one for times in run.watch.without_owner.values() for one in times)
    report.without_owner_max = {number: round(max(times), 1) for number, times in run.watch.without_owner.items()}
    every = [(kill, seconds) for kill in run.faults.kills for seconds in _takeover(run, kill)]
    report.takeovers = Times.of(seconds for _, seconds in every)
    report.takeovers_alone = Times.of(seconds for kill, seconds in every if _alone(run, kill, seconds))
    report.written = run.writer.written.counts
    models = [history.model(history.end) for history in run.history.partitions]
    for name in ("records", "behaviours", "duplicates", "erasures", "rejected"):
        report.behaviours[name] = sum(getattr(model.counts, name) for model in models)
    report.ended_by_themselves, report.exits, report.late = run.fleet.deaths, run.fleet.exits, run.fleet.late
    report.copies, report.compared = audits.copies, audits.behaviours
    report.left_out, report.unreadable = audits.left_out, audits.unreadable


def _takeover(run: "Run", kill: Kill) -> Iterator[float]:
    """Seconds from a kill to the first answer of each partition's next owner."""
    for partition in kill.partitions:
        times = sorted(run.requester.answered_ms[partition])
        at = bisect_left(times, kill.at_ms + LAST_WORDS_MS)
        if at < len(times):
            yield (times[at] - kill.at_ms) / 1e3


def _alone(run: "Run", kill: Kill, seconds: float) -> bool:
    """Whether nothing else was broken shortly before the kill or until the answer."""
    others = [at for number, at in enumerate(run.faults.times_ms) if number != kill.fault]
    return not any(kill.at_ms - 10_000 < at < kill.at_ms + seconds * 1e3 for at in others)
