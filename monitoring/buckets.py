"""Histogram bounds, in one place: every worker has the same ones, or sums over workers would be wrong.

Invariant: constants, never derived from settings. The first bound lies below the 10th percentile of what is measured,
the last above the 99.9th, and every bound that a service level is stated in (25 ms for an answer, 1 s for freshness)
is itself a bucket, so that the share of good events is read off exactly.
"""

REQUEST_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5),
    *(1.0, 2.5),
)
STAGE_SECONDS = (50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
FRESHNESS_SECONDS = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 1800.0, 7200.0),
)
"""Finer below 100 ms than an alert needs, because a batch at the log's end takes 10 to 50 ms from broker to reader."""
COUNTS = (*(float(digit * 10**power) for power in range(5) for digit in (1, 2, 5)), 100_000.0)
"""1, 2, 5, 10 .. 100 000: the longest history and above the largest batch."""
PROBABILITY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *(tenth / 10 for tenth in range(1, 11)))
"""Click probabilities crowd near zero: 13.7 % of the public data's impressions were clicked."""
COSINE = tuple(twentieth / 20 for twentieth in range(21))
"""Cosines of what was retrieved; negative ones count into the first bucket."""
RELOAD_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""A model from the local disk takes under a second, one that waits for its vectors as long as they take."""
CALL_SECONDS = (*(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5), *(1.0, 2.5, 10.0, 30.0))
"""From a call that only hands something over, to one that waits for a broker that is away until it gives up."""
REBALANCE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0)
"""Partitions that stay are back in under a second or two; a new one takes as long as its replay or its snapshot."""
DIFFERENCE = (1e-6, 1e-5, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of two probabilities; below 1e-6 they are the same network."""
RANK_SHIFT = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 1 / 3, 0.5)
"""0.5 is a list reversed, the most there is; 1/3 is a random one."""
