"""What boards and rules ask for that this world cannot have, each with its reason; everything else must have data.

Invariant: a name that no board and no rule has any more is a mistake, and a test says so.
"""

_NO_GPU = "workers without a GPU"
_NO_VERIFY = "`verify-served --follow` is a job of its own, and does not run here"
_HEALTHY = "nothing of the kind happens while all is well"
_YOUNG = "the world is a minute old"

PANELS_MAY_BE_EMPTY = {
    "overview: Alerts firing": _HEALTHY,
    "annotation Alerts": _HEALTHY,
    "overview: Saturation: GPU histories": _NO_GPU,
    "state: Answered on a GPU": _NO_GPU,
    "state: Searches and their wait": _NO_GPU,
    "state: GPU memory of histories, fullest": _NO_GPU,
    "ingest: Time until caught up": "no partition is behind for two scrapes on end",
    "ingest: Held back by a transaction": _HEALTHY,
    "ingest: Records held back": _HEALTHY,
    "ingest: Time of a rebalance": "the rebalance at the start lies before the window of a rate",
    "state: Time of a restore": "stores begin empty here, and nothing is there to restore",
    "model: Activations": "models were activated before the first scrape",
    "model: Time of an activation": "models were activated before the window of a rate",
    "model: Scores: mean yesterday": _YOUNG,
    "model: Answers that were wrong": _NO_VERIFY,
    "model: Answers checked per second": _NO_VERIFY,
    "model: Answers not checked": _NO_VERIFY,
    "model: Verification behind": _NO_VERIFY,
}
"""Board, panel and, where only one of its queries is meant, its legend; or an annotation of every board."""

SERIES_MAY_BE_EMPTY = {"muse_verify_": _NO_VERIFY, 'up{job="muse-verify"}': _NO_VERIFY}
"""Beginnings of the names of series that alerts read."""
