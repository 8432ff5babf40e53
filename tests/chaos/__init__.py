"""Chaos: a real installation whose processes are killed, stopped and restarted while streams and requests flow.

    python -m tests.chaos --seconds 300 --seed 7        five minutes of faults
    python -m tests.chaos --kills 100                   until a hundred processes were ended by kill -9

A seed decides what is written, asked and broken; when things happen is up to the machine, so a seed makes a like run,
not the same one. Only what is wrong counts: a copy that is behind is right, and so is an answer that comes twice.

    plan.py       what may be chosen; sizes
    records.py    what producers write: behaviours, frames, repeats, late events, erasures, poison
    writer.py     producers, plain and transactional, that live through restarts of Kafka
    requester.py  requests, and every answer that comes
    fleet.py      worker processes and the broker: kill, stop, continue, start
    faults.py     the dice, and what comes back when
    watch.py      who owns what, by the workers' own word
    history.py    the log as read so far, and the audit's model at any of its positions
    copies.py     audits of stores: of all copies after each kill, once more by the audit itself at the end
    checks.py     answers, writes and dead letters against the log
    report.py     figures and differences
    run.py        all of it, in order
"""
