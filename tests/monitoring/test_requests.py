"""Requests, and the quality of what was answered."""

import numpy as np
import pytest

from muse_stream.monitoring.catalogue import REQUEST_STAGES

from .worker import bare_metrics, value


def test_an_answer_counts_once_by_outcome_and_in_every_stage_it_went_through() -> None:
    metrics = bare_metrics()
    metrics.requests.answered("ok", 0.02, {"decode": 0.001, "gsu": 0.015})
    metrics.requests.answered("timeout", 0.5)
    assert value(metrics, "muse_requests_total", outcome="ok") == 1
    assert value(metrics, "muse_requests_total", outcome="timeout") == 1
    assert value(metrics, "muse_request_duration_seconds_count") == 2
    assert value(metrics, "muse_request_duration_seconds_bucket", le="0.025") == 1
    assert value(metrics, "muse_request_stage_duration_seconds_sum", stage="gsu") == pytest.approx(0.015)
    assert value(metrics, "muse_request_stage_duration_seconds_count", stage="esu") == 0


def test_all_stages_are_there_from_the_start() -> None:
    metrics = bare_metrics()
    for stage in REQUEST_STAGES:
        assert value(metrics, "muse_request_stage_duration_seconds_count", stage=stage) == 0


def test_a_request_counts_its_sizes() -> None:
    metrics = bare_metrics()
    metrics.requests.passed(2, 0.02, 0.03)
    metrics.requests.answered("ok", 0.1, candidates=200, history=100_000)
    metrics.requests.answered("ok", 0.1, candidates=1, history=0)
    metrics.requests.answered("client_error", 0.1)
    assert value(metrics, "muse_request_batch_size_sum") == 2
    assert value(metrics, "muse_request_candidates_sum") == 201
    assert value(metrics, "muse_request_candidates_count") == 2
    assert value(metrics, "muse_request_candidates_bucket", le="200.0") == 2
    assert value(metrics, "muse_request_history_length_bucket", le="50000.0") == 1
    assert value(metrics, "muse_request_history_length_bucket", le="100000.0") == 2


def test_what_is_under_way_is_read_when_scraped() -> None:
    metrics, under_way = bare_metrics(), [5, 2]
    metrics.watch_requests(in_flight=lambda: under_way[0], queued=lambda: under_way[1], saturation=lambda: 0.75)
    assert value(metrics, "muse_requests_in_flight") == 5
    under_way[1] = 0
    assert value(metrics, "muse_request_queue_depth") == 0
    assert value(metrics, "muse_request_saturation_ratio") == 0.75


def test_scores_that_are_no_number_are_counted_and_kept_out_of_the_histogram() -> None:
    metrics = bare_metrics()
    metrics.quality.scored(np.array([0.1, np.nan, np.inf, 0.3], np.float32))
    assert value(metrics, "muse_model_scores_nonfinite_total") == 2
    assert value(metrics, "muse_model_score_ratio_count") == 2
    assert value(metrics, "muse_model_score_ratio_sum") == pytest.approx(0.4)


def test_the_best_cosine_counts_only_where_something_was_found() -> None:
    metrics = bare_metrics()
    cosines = np.array([[0.93, 0.2], [0.0, 0.0], [-0.4, 0.0]], np.float32)
    metrics.quality.retrieved(cosines, np.array([2, 0, 1]), without_vector=1)
    assert value(metrics, "muse_retrieval_similarity_ratio_count") == 2
    assert value(metrics, "muse_retrieval_similarity_ratio_bucket", le="0.0") == 1
    assert value(metrics, "muse_retrieval_found_behaviours_count") == 3
    assert value(metrics, "muse_retrieval_found_behaviours_sum") == 3
    assert value(metrics, "muse_retrieval_candidates_total") == 3
    assert value(metrics, "muse_retrieval_candidates_without_vector_total") == 1


def test_a_pass_that_retrieves_nothing_is_fine() -> None:
    metrics = bare_metrics()
    metrics.quality.retrieved(np.empty((2, 0), np.float32), np.zeros(2, np.int32), without_vector=0)
    metrics.quality.scored(np.empty(0, np.float32))
    assert value(metrics, "muse_retrieval_similarity_ratio_count") == 0
