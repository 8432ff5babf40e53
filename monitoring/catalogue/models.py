"""Models in service, what they answer, what was retrieved for it, and the shadow beside them."""

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue.definition import counter, gauge, histogram

MODEL_INFO = gauge("muse_model_info", "1; the labels say which model a slot runs.", "slot", "version", "digest")
MODEL_LOADED = gauge("muse_model_loaded_timestamp_seconds", "When the slot's model was loaded, as Unix time.", "slot")
MODEL_RELOADS = counter(
    "muse_model_reload_total", "Attempts to bring a model into service, by how they ended.", "slot", "outcome"
)
MODEL_REFUSED = gauge(
    "muse_model_refused",
    "1 while a worker does not serve what was activated for the slot, because it was refused or failed; the former "
    "model stays. 0 once the slot runs what is wanted.",
    "slot",
)
MODEL_RELOAD_DURATION = histogram(
    "muse_model_reload_duration_seconds",
    "From the start of an attempt to its end: fetched, checked, filled, warmed, swapped.",
    buckets.RELOAD_SECONDS,
)
MODEL_CONTROL_SKIPPED = counter(
    "muse_model_control_skipped_total", "Records of the control topic that could not be read and were skipped."
)
SPACE_COVERAGE = gauge(
    "muse_model_space_coverage_ratio",
    "Share of the items with a vector in the space that is served that have one in this space.",
    "space",
)
MODEL_SCORE = histogram("muse_model_score_ratio", "Click probabilities as answered.", buckets.PROBABILITY)
MODEL_NONFINITE = counter("muse_model_scores_nonfinite_total", "Scores that were no number; must stay 0.")
RETRIEVAL_COSINE = histogram(
    "muse_retrieval_similarity_ratio", "Best cosine per candidate: drift of the retrieval itself.", buckets.COSINE
)
RETRIEVAL_FOUND = histogram(
    "muse_retrieval_found_behaviours",
    "Behaviours retrieved per candidate; below k where history or vectors lack.",
    buckets.COUNTS,
)

RETRIEVAL_CANDIDATES = counter("muse_retrieval_candidates_total", "Candidates of requests that a pass has answered.")
RETRIEVAL_NO_VECTOR = counter(
    "muse_retrieval_candidates_without_vector_total",
    "Those of them that have no vector in the space that is served: nothing can be retrieved for them.",
)

SHADOW_REQUESTS = counter(
    "muse_shadow_requests_total", "Requests of the shadow's share, by what became of them there.", "outcome"
)
SHADOW_DIFFERENCE = histogram(
    "muse_shadow_score_difference_ratio",
    "Absolute difference between the shadow's click probability and the answer's, per candidate.",
    buckets.DIFFERENCE,
)
SHADOW_RANK = histogram(
    "muse_shadow_rank_difference_ratio",
    "How far the shadow moves a candidate in its request's ranking, on average, as a share of the list: 0 is the same "
    "order, 1/3 is unrelated, 1/2 is reversed. Requests of one candidate count as 0.",
    buckets.RANK_SHIFT,
)
