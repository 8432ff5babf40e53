"""Parts of an answer that speak of many behaviours: what the network read, and why scores are what they are.

Invariant: a behaviour stands once in an answer, in `Behaviours`; everything else names its row there.
"""

import msgspec


class Behaviours(msgspec.Struct, frozen=True):
    """The distinct behaviours that an answer speaks of, oldest first, as columns of one length; others name a row."""

    position: list[int]  # absolute sequence number in the user's history, ascending
    item: list[int]
    category: list[int]  # as sent, or the item's where none was
    time_ms: list[int]
    action: list[int]


class CandidateFeatures(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the network read for one candidate; the retrieved behaviours best first, the recent ones newest first."""

    values: list[int]  # in the order of `Features.candidate_names`
    row: list[int]  # of the answer's `behaviours`
    cosine: list[float]
    recent_cosine: list[float]
    recent_absent: list[int] = []  # places in `recent_cosine` whose item, or the candidate, has no vector


class Features(msgspec.Struct, frozen=True):
    """What the network read: to be logged, and learnt from without another look at the past."""

    candidate_names: list[str]
    user_names: list[str]
    user: list[int]  # in the order of `user_names`
    history_rows: int  # the last so many of the answer's `behaviours` are the newest that were searched, without a gap
    candidates: list[CandidateFeatures]  # aligned with the answer's


class CandidateExplanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One score, explained. A change is the score without something minus the score; what is not known is empty."""

    candidate: int  # its place among the answer's `candidates`
    row: list[int]  # retrieved behaviours that the score was computed from, best first: rows of `behaviours`
    cosine: list[float]
    tier: list[int]  # SimTier's bin of the cosine, 0..21
    recent_tier: list[int]  # of the newest behaviours, newest first; -1 = no vector
    weight: list[float] = []  # attention
    change: list[float] = []  # had the behaviour not been there
    recent_weight: list[float] = []
    block_change: list[float] = []  # had the network known nothing of the block


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why scores are what they are."""

    recent: list[int]  # the newest behaviours, newest first: rows of `behaviours`
    candidates: list[CandidateExplanation]
    blocks: list[str] = []  # names of the parts of the tower's input, in order
