"""The durable state: what every user did, in order, each store the pure function of a prefix of its log.

The shapes are here; the stores, which load RocksDB and compiled code, are in `state.store` and `state.items`.
"""

from muse_stream.state.columns import BEHAVIOUR, Appended, BehaviourBatch, Sequence
from muse_stream.state.rules import Rules, StoreIdentity

__all__ = ["BEHAVIOUR", "Appended", "BehaviourBatch", "Rules", "Sequence", "StoreIdentity"]
