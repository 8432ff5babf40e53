"""Model & retrieval quality: whether what comes out is sane, and what changed when."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.board import Board, Row
from deploy.dashboards.common import BAD, WARN, About, Query, quantiles
from deploy.dashboards.panels import bars, heat, lines, rows, tile
from deploy.dashboards.promql import buckets, in_range, least, mean, per_second, quantile, series, share, total
from deploy.dashboards.quality import checked, shadow

SCORE, COSINE, FOUND = "muse_model_score_ratio", "muse_retrieval_similarity_ratio", "muse_retrieval_found_behaviours"
LIVE = 'slot="live"'


def board() -> Board:
    """Make the board."""
    answers = "Are scores and retrieval what they were; which model answers, since when; would the next one differ?"
    rows = [
        Row("Which model", list(_models())),
        Row("What is answered", list(_scores())),
        Row("Retrieval", list(_retrieval())),
        Row("Shadow", list(shadow())),
        Row("Answers checked again", list(checked())),
    ]
    return Board("model", "muse-stream / Model & retrieval quality", answers, rows)


def _models() -> Iterator[Panel]:
    yield from _in_service()
    yield from _activations()


def _in_service() -> Iterator[Panel]:
    """What runs, since when, and what is refused."""
    yield rows(
        About(
            "Models in service",
            "none",
            means="Which model each slot runs, on how many workers. Blue marks on all boards say since when.",
            do="Two live versions outside an activation: a worker refused the new one; its log and `muse-stream "
            "models show` say why.",
            width=8,
            height=6,
        ),
        Query(
            "count by (slot, version, digest) (" + total("muse_model_info", by="slot, version, digest, instance") + ")",
            "{{slot}}: {{version}}",
        ),
        *("slot", "version", "digest"),
        value="workers",
    )
    yield tile(
        About(
            "In service since",
            "s",
            means="For how long the live model has run, on the worker that has had it longest.",
            do="Older than your training's rhythm: the pipeline that makes or activates models stands still.",
            width=4,
            height=6,
        ),
        Query(f"time() - {least('muse_model_loaded_timestamp_seconds', LIVE)}", "live"),
    )
    yield tile(
        About(
            "Refused now",
            "none",
            means="Workers on which what was activated last is refused or failed; they go on with what they had.",
            do="`muse-stream models show` has each worker's reason. Activate another model, or the former one again.",
            width=4,
            height=6,
            limits=((1, BAD),),
        ),
        Query(total("muse_model_refused", by="slot"), "{{slot}}"),
    )


def _activations() -> Iterator[Panel]:
    """Attempts to bring another one into service."""
    yield bars(
        About(
            "Activations",
            "short",
            means="Attempts to bring a model into service in the time shown, by slot and how they ended.",
            do="`refused`: it cannot serve here, another must be made. `unreachable`: the store does not answer; it "
            "is tried again. `failed`: a fault of ours, see the log.",
            width=4,
            height=6,
        ),
        Query(f"{in_range('muse_model_reload_total', by='slot, outcome')} > 0", "{{slot}}: {{outcome}}"),
    )
    yield bars(
        About(
            "Control records skipped",
            "short",
            means="Records of the control topic that could not be read, in the time shown; what ran before runs on.",
            do="Somebody writes to the control topic who should not; the log names the offset.",
            width=4,
            height=6,
            limits=((1, BAD),),
        ),
        Query(in_range("muse_model_control_skipped_total"), "skipped"),
    )
    yield lines(
        About(
            "Time of an activation",
            "s",
            means="From the start of an attempt to its end: fetched, checked, filled, warmed, swapped. 99th "
            "percentile.",
            do="Minutes: it waits for vectors of its space; see coverage beside.",
            width=12,
        ),
        Query(quantile(0.99, "muse_model_reload_duration_seconds"), "p99"),
    )
    yield lines(
        About(
            "Coverage of vector spaces",
            "percentunit",
            means="Share of the items with a vector in the served space that have one in this space, on the worker "
            "with the least.",
            do="Below 100 % in a space that a new model wants: wait for its vectors, or activate with less on purpose.",
            width=12,
        ),
        Query(least("muse_model_space_coverage_ratio", by="space"), "{{space}}"),
        top=1,
    )


def _scores() -> Iterator[Panel]:
    yield heat(
        About(
            "Scores, all of them",
            "percentunit",
            means="How many click probabilities fell where.",
            do="A shape that changed at a blue mark is the new model; without a mark it is the data: features, "
            "vectors, histories.",
        ),
        Query(buckets(SCORE), "{{le}}"),
    )
    yield lines(
        About(
            "Scores",
            "percentunit",
            means="Mean, median and 90th percentile of the probabilities answered, and the mean at this time "
            "yesterday.",
            do="Away from yesterday by more than a fifth: shadow the former model and compare before somebody "
            "downstream notices.",
        ),
        Query(mean(SCORE), "mean"),
        Query(_yesterday(), "mean yesterday"),
        *quantiles(SCORE, 0.5, 0.9),
    )
    yield lines(
        About(
            "Scores that are no number",
            "cps",
            means="Scores per second that were not finite; must stay 0.",
            do="Go back to the former model (`muse-stream models activate`), then look at the vectors that came last.",
            limits=((0.001, BAD),),
        ),
        Query(per_second("muse_model_scores_nonfinite_total"), "no number"),
    )


def _yesterday() -> str:
    total_sum, count = (f"sum (rate({series(SCORE + end)}[$__rate_interval] offset 1d))" for end in ("_sum", "_count"))
    return share(total_sum, count)


def _retrieval() -> Iterator[Panel]:
    yield from _found()
    yield from _vectors()


def _found() -> Iterator[Panel]:
    """What was retrieved."""
    yield heat(
        About(
            "Best cosine per candidate",
            "none",
            means="How like the candidate the most similar behaviour of the user is: the drift of the retrieval "
            "itself, whatever the model makes of it.",
            do="Moves down: vectors of new items come from another training, or clients ask about other items.",
        ),
        Query(buckets(COSINE), "{{le}}"),
    )
    yield lines(
        About(
            "Best cosine",
            "none",
            means="10th percentile, median and 90th.",
            do="As beside. A step at a blue mark: the new model's space.",
        ),
        *quantiles(COSINE, 0.1, 0.5, 0.9),
        top=1,
    )
    yield lines(
        About(
            "Behaviours found per candidate",
            "none",
            means="Mean and 10th percentile; below k where histories are short or vectors lack.",
            do="Falls: see candidates and items without vectors below, and Length of histories on Serving.",
        ),
        Query(mean(FOUND), "mean"),
        Query(quantile(0.1, FOUND), "p10"),
    )


def _vectors() -> Iterator[Panel]:
    """What it could be retrieved from."""
    yield lines(
        About(
            "Candidates without a vector",
            "percentunit",
            means="Share of the candidates that have no vector here: nothing can be retrieved for them.",
            do="Above 2 %: new items are asked about before their vectors come; look at who writes the items topic.",
            limits=((0.02, WARN),),
        ),
        Query(
            share(
                per_second("muse_retrieval_candidates_without_vector_total"),
                per_second("muse_retrieval_candidates_total"),
            ),
            "without",
        ),
    )
    yield lines(
        About(
            "Items",
            "short",
            means="Items with a slot and items with a vector, by space, on the worker with the fewest: all read the "
            "same log and should agree.",
            do="Workers that differ: one is behind on the items topic, see its lag.",
        ),
        Query(least("muse_engine_index_items"), "with a slot"),
        Query(least("muse_engine_table_rows", by="space"), "with a vector, {{space}}"),
        Query(least("muse_items_offset"), "read up to offset"),
    )
    yield lines(
        About(
            "Vectors and items refused",
            "cps",
            means="Vectors that found no room in their table, behaviours whose item found no slot.",
            do="Raise items.table_budget_bytes, or the size of the index: what is refused is not retrieved.",
            limits=((0.001, BAD),),
        ),
        Query(per_second("muse_engine_table_refused_total", by="space"), "vectors, {{space}}"),
        Query(per_second("muse_engine_index_refused_total"), "behaviours"),
    )
