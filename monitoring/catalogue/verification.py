"""What `muse-stream verify-served --follow` exports."""

from muse_stream.monitoring.catalogue.definition import counter, gauge

VERIFY_COMPARED = counter("muse_verify_compared_total", "Served answers of which this part was compared.", "what")
VERIFY_MISMATCHED = counter(
    "muse_verify_mismatched_total", "Served answers of which this part is not what the logs say; must stay 0.", "what"
)
VERIFY_NEAR_STEP = counter(
    "muse_verify_near_step_total", "Scores that differ where the network itself is at a step; no mismatches."
)
VERIFY_LEFT_OUT = counter(
    "muse_verify_not_rebuildable_total", "Served answers that could not be computed again.", "reason"
)
VERIFY_MODEL = counter(
    "muse_verify_model_not_here_total", "Served answers whose scores were not compared, as their model is not here."
)
VERIFY_WAITING = gauge("muse_verify_waiting_answers", "Served answers that wait for the logs or for their turn.")
VERIFY_OLDEST = gauge("muse_verify_oldest_waiting_seconds", "For how long the first of them has waited.")
VERIFY_LAG = gauge("muse_verify_lag_messages", "Offsets of a topic that the verification has not read yet.", "topic")
