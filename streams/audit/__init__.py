"""The audit: what each user's sequence must be, computed from the log once more, by other means than the ingest's.

Invariant: nothing here decodes, counts or trims with the code that it checks. What it shares with the worker is the
reading of a store (`state.moment.StoreReader`), the shape of the rules, and the way a Kafka client is connected.

    log.py         committed records of one partition, by a consumer loop of its own
    decoding.py    ids, JSON and frames, written from docs/wire.md
    model.py       the rules of docs/architecture.md as plain dictionaries; `suffix.py` where the log has been shortened
    compare.py     model against store
    run.py         one partition from directory to report
    worker.py      a running worker's memory against its stores
    stores.py      a state directory, against the cluster that the settings name
    show.py        a report for people
"""
