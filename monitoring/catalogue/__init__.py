"""Every metric there is: name, kind, meaning, labels, buckets. `docs/metrics.md` is made from it.

Invariant: a metric that is not defined here is not exported. Names are `muse_<subsystem>_<what>_<unit>`, in base units
(seconds, bytes, ratio 0..1), counters end in `_total`, `_info` metrics are 1; no colons. Labels come from `LABELS` and
have closed value sets: no user, item or request id, no address, no text of an error. What a canary does is in
its own metrics and in those that count records of the log, time of a thread or what is held, in no other.

A definition is a constant of the module of its subsystem; all of them can be had from here under their names.
"""
# ruff: noqa: F403 -- the modules have nothing but definitions, and a name that is listed twice would be forgotten once

from types import ModuleType

from muse_stream.monitoring.catalogue import canary, engine, ingest, models, requests, stores, verification, worker
from muse_stream.monitoring.catalogue.canary import *
from muse_stream.monitoring.catalogue.definition import Definition as Definition
from muse_stream.monitoring.catalogue.engine import *
from muse_stream.monitoring.catalogue.ingest import *
from muse_stream.monitoring.catalogue.models import *
from muse_stream.monitoring.catalogue.requests import *
from muse_stream.monitoring.catalogue.stores import *
from muse_stream.monitoring.catalogue.values import *
from muse_stream.monitoring.catalogue.verification import *
from muse_stream.monitoring.catalogue.worker import *


def _defined(*modules: ModuleType) -> tuple[Definition, ...]:
    return tuple(one for module in modules for one in vars(module).values() if isinstance(one, Definition))


CATALOGUE = _defined(ingest, canary, requests, stores, engine, models, worker)
"""What a worker exports."""
VERIFICATION = _defined(verification)
"""What `muse-stream verify-served --follow` exports."""
