"""Deterministic simulation: stores and ingest on an in-memory log, clock and disk, with crashes between any two steps.

    python -m tests.simulation --seeds 1000         run schedules 0..999
    python -m tests.simulation --seed 17            run one again; where it fails, shrink it

A seed makes a schedule: a list of steps, each with dice of its own, so that a schedule from which steps were taken is
still a schedule. A crash throws away everything that a worker has in memory, and, as a power loss, the last writes too.
After every schedule each copy of each store, stale ones included, is compared with the audit's plain model of its log
prefix, the resident pool with its stores, and the dead letters with what had to be refused.

    database.py   RocksDB's interface with WriteBatch semantics, in memory; or real ones, copied as they lie at a crash
    fuse.py       where a worker can be made to crash
    log.py        topics with transactions and retention, and their reader
    traffic.py    what producers write
    worker.py     a worker: the ingest service without its thread, an engine, a disk
    world.py      the steps
    checks.py     what must hold
    schedule.py   seeds to schedules
    runner.py     many schedules; shrinking
"""
