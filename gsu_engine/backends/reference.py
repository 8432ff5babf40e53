"""The definition, in NumPy: one candidate after the other, nothing clever.

Invariant: this is what the other backends must equal, to the bit.
"""

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, Flags
from muse_stream.gsu_engine.contract import SearchResult, Work


class ReferenceBackend:
    """Obvious and slow."""

    name = "reference"
    form = None

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        result = SearchResult.empty(len(work.vectors), work.k, work.recent)
        for pair in range(work.pairs):
            low, high = int(work.offsets[pair]), int(work.offsets[pair + 1])
            slots = work.slots[low:high]
            rows = work.table.row_of_slot[slots]  # (L,)
            vectors = work.table.rows[rows].astype(np.int32)  # (L, d)
            inv_norms = work.table.inv_norms[rows]  # (L,), 0 = absent
            allowed = np.ones(high - low, np.bool_) if work.allowed is None else work.allowed[low:high]
            for candidate in range(int(work.bounds[pair]), int(work.bounds[pair + 1])):
                if work.inv_norms[candidate] == 0:
                    continue
                scores = score(vectors, inv_norms, work.vectors[candidate], work.inv_norms[candidate])
                eligible = (inv_norms != 0) & allowed
                if work.excluded is not None and work.excluded[candidate] != 0:
                    eligible &= slots != work.excluded[candidate]
                self._retrieve(result, candidate, scores, eligible, int(work.starts[pair]))
                self._recent(result, candidate, scores, inv_norms != 0)
        return result

    @staticmethod
    def _retrieve(result: SearchResult, candidate: int, scores: F32, eligible: Flags, start: int) -> None:
        found: I64 = np.flatnonzero(eligible)
        best = found[np.lexsort((-found, -scores[found]))][: result.scores.shape[1]]  # score, then newest
        result.count[candidate] = len(best)
        result.scores[candidate, : len(best)] = scores[best]
        result.positions[candidate, : len(best)] = start + best

    @staticmethod
    def _recent(result: SearchResult, candidate: int, scores: F32, present: Flags) -> None:
        newest = slice(None, -result.recent_scores.shape[1] - 1, -1)
        there = present[newest]
        result.recent_present[candidate, : len(there)] = there
        result.recent_scores[candidate, : len(there)] = np.where(there, scores[newest], np.float32(0))


def score(vectors: I32, inv_norms: F32, candidate: I8, inv_norm: np.float32) -> F32:
    """`float32(dot) * inv_norm_row * inv_norm_candidate`, in that order: `[L] float32`."""
    dots = vectors @ candidate.astype(np.int32)  # (L,), exact
    scores: F32 = dots.astype(np.float32) * inv_norms * inv_norm
    return scores
