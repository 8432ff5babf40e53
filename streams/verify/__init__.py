"""Verification: answers that were served, computed again from the logs and compared.

An answer names the log prefixes that it was computed from, the vector space and the model. Rebuilt from exactly these
by the code that serves, on another machine and at another time, it must come out the same:

    window       sequence numbers that were searched, and how many behaviours those are
    retrieval    position, item, time, action and cosine of every retrieved behaviour: to the bit
    scores       within 1e-6; apart where the network itself is at a step (`compare.py`)

Invariant: every answer that was computed is counted once: compared, or not rebuildable for a reason of `reasons.py`.
What could not be rebuilt never counts as equal.

    exchanges.py   a computed answer beside its request;  ledger.py: all of them, from the logs
    models.py      the artefact that a digest names
    rebuild.py     the serving code's search and scores for what was asked
    compare.py     the differences
    report.py      what came out
    offline.py     answers in the order of their moments;  once.py, world.py: over whole logs, out of the settings
    sampled.py     some users' behaviours and profiles at any moment, in memory
    waiting.py     answers that wait for the logs;  live.py: one turn of the running mode
    follow.py      the running mode, beside the workers
"""
