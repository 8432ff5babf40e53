"""The wire: what the bytes of each topic mean, as one published contract (docs/wire.md).

Invariant: nothing in here talks to Kafka or keeps state. A decoder is a function of record bytes and rules; it returns
columns and rejects, raises on no input, and one record's bytes never change what a neighbour decodes to.
"""
