"""Model, below: the shadow beside the live model, and answers that are computed again."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, WARN, About, Query, quantiles
from deploy.dashboards.panels import bars, lines
from deploy.dashboards.promql import mean, per_second, quantile, share, share_of_all

DIFFERENCE, RANK = "muse_shadow_score_difference_ratio", "muse_shadow_rank_difference_ratio"


def _verify(metric: str, by: str = "") -> str:
    """Of `muse-stream verify-served --follow`, which is a job of its own and no worker."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


COMPARED = _verify("muse_verify_compared_total")


def shadow() -> Iterator[Panel]:
    """What the model in the shadow slot would have answered."""
    yield lines(
        About(
            "Shadowed requests per second",
            "reqps",
            means="Requests of the shadow's share, by what became of them there. Nothing without a shadow.",
            do="`dropped`: there is no time for it under this load. `failed`: do not activate this model, see the log.",
        ),
        Query(per_second("muse_shadow_requests_total", by="outcome"), "{{outcome}}"),
        stacked=True,
    )
    yield lines(
        About(
            "Shadow: difference of scores",
            "percentunit",
            means="Absolute difference between the shadow's probability and the one answered, per candidate.",
            do="Large everywhere: another calibration, not necessarily worse; look at the order beside before "
            "activating.",
        ),
        *quantiles(DIFFERENCE, 0.5, 0.99),
    )
    yield lines(
        About(
            "Shadow: difference of order",
            "percentunit",
            means="How far the shadow moves a candidate in its list, as a share of the list: 0 is the same order, a "
            "third is unrelated, a half reversed.",
            do="Near a third: this model does not rank by the same thing; do not activate it by accident.",
            limits=((0.333, WARN),),
        ),
        Query(mean(RANK), "mean"),
        Query(quantile(0.99, RANK), "p99"),
    )


def checked() -> Iterator[Panel]:
    """What `verify-served --follow` found."""
    yield bars(
        About(
            "Answers that were wrong",
            "short",
            means="Served answers, in the time shown, of which a part is not what the logs say. Must stay 0.",
            do="The verification's log has the request and the difference: docs/verify.md. Keep the logs, stop "
            "activations.",
            width=6,
            limits=((1, BAD),),
        ),
        Query("sum by (what) (increase(muse_verify_mismatched_total[$__range]))", "{{what}}"),
        text="not running",
    )
    yield lines(
        About(
            "Answers checked per second",
            "cps",
            means="Parts of served answers that were computed again and compared, and those at a step of the network, "
            "where rounding decides.",
            do="0 while requests are answered: the verification stands still, see its log.",
            width=6,
        ),
        Query(_verify("muse_verify_compared_total", by="what"), "{{what}}"),
        Query(_verify("muse_verify_near_step_total"), "near a step"),
    )
    yield lines(
        About(
            "Answers not checked",
            "percentunit",
            means="Served answers that could not be computed again, by reason, as a share of those compared; and "
            "those whose model is not here.",
            do="`docs/verify.md` has each reason; most mean that a log was cut or a model deleted.",
            width=6,
        ),
        Query(share_of_all(_verify("muse_verify_not_rebuildable_total", by="reason"), COMPARED), "{{reason}}"),
        Query(share(_verify("muse_verify_model_not_here_total"), COMPARED), "model not here"),
    )
    yield lines(
        About(
            "Verification behind",
            "short",
            means="Answers that wait for the logs or for their turn, for how many seconds the first has, and offsets "
            "of each topic that are not read yet.",
            do="Growing: give it more time or fewer answers (a share of them).",
            width=6,
        ),
        Query("sum (muse_verify_waiting_answers)", "answers waiting"),
        Query("max (muse_verify_oldest_waiting_seconds)", "oldest, seconds"),
        Query("max by (topic) (muse_verify_lag_messages)", "unread, {{topic}}"),
        log=True,
    )
