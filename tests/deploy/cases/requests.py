"""Cases of the alerts about requests, models and what is verified."""

from collections.abc import Mapping, Sequence

from tests.deploy.timeline import WORKERS, Case, Course, Level, Rate, everywhere, on, selector, steady, still


def _asked(name: str, course: Course, asked: float = 10, **labels: str) -> dict[str, Course]:
    """Each worker answers so many requests a second; what is counted of them happens on each."""
    return {**everywhere("muse_requests_total", steady(asked), outcome="ok"), **everywhere(name, course, **labels)}


def _scores(mean: Rate, count: float) -> dict[str, Course]:
    return {
        **everywhere("muse_model_score_ratio_sum", mean),
        **everywhere("muse_model_score_ratio_count", steady(count)),
    }


def _digests(fault: Mapping[str, str]) -> dict[str, Course]:
    """All run model `a`; in the fault those that are named run another one."""
    series: dict[str, Course] = {}
    for worker in WORKERS:
        labels = {"slot": "live", "version": "1"}
        series[on(worker, "muse_model_info", digest="a", **labels)] = Level(1, None) if worker in fault else still(1)
        if worker in fault:
            series[on(worker, "muse_model_info", digest=fault[worker], **labels)] = Level(None, 1)
    return series


def _reloads(outcome: str, rate: Rate) -> dict[str, Course]:
    return everywhere("muse_model_reload_total", rate, slot="live", outcome=outcome)


def _vectors(without: Rate, candidates: float) -> dict[str, Course]:
    return {
        **everywhere("muse_retrieval_candidates_total", steady(candidates)),
        **everywhere("muse_retrieval_candidates_without_vector_total", without),
    }


def _verify(name: str, course: Course, **labels: str) -> dict[str, Course]:
    return {selector(name, job="muse-verify", instance="v1", **labels): course}


_ALL_JOB = [{"job": "muse-stream", "severity": "ticket"}]
_HOURS = (180, 90, 60)

LOAD: Mapping[str, Sequence[Case]] = {
    "MuseShedding": (
        Case(
            "5 % are shed on all workers",
            _asked("muse_requests_shed_total", Rate(0, 0.5), reason="queue_full"),
            _ALL_JOB,
        ),
        Case("prefetches are shed", _asked("muse_requests_shed_total", Rate(0, 5), reason="prefetch")),
        Case(
            "5 of 10 requests of an idle system",
            _asked("muse_requests_shed_total", Rate(0, 0.005), 0.01, reason="expired"),
        ),
    ),
    "MuseSaturated": (
        Case(
            "one worker is busy without a break",
            {
                **everywhere("muse_request_saturation_ratio", still(0.3)),
                on("w2", "muse_request_saturation_ratio"): Level(0.3, 0.98),
            },
            [{"instance": "w2"}],
            minutes=(10, 20, 10),
        ),
        Case("a burst of 5 minutes", everywhere("muse_request_saturation_ratio", Level(0.3, 1)), minutes=(10, 5, 10)),
        Case("at half", everywhere("muse_request_saturation_ratio", still(0.5))),
    ),
    "MuseStaleAnswers": (
        Case("a tenth of the answers", _asked("muse_requests_stale_total", Rate(0, 1)), _ALL_JOB, (20, 30, 30)),
        Case("a rebalance of a minute", _asked("muse_requests_stale_total", Rate(0, 10)), minutes=(20, 1, 30)),
    ),
}

MODELS: Mapping[str, Sequence[Case]] = {
    "MuseModelRefused": (
        Case(
            "three workers refuse one model: one alert",
            everywhere("muse_model_refused", Level(0, 1), slot="live"),
            [{"slot": "live"}],
            minutes=(20, 20, 1),
        ),
        Case("a model is swapped in", everywhere("muse_model_refused", still(0), slot="live")),
    ),
    "MuseModelStoreUnreachable": (
        Case("it does not answer", _reloads("unreachable", Rate(0, 1 / 60)), [{"slot": "live"}], (20, 20, 30)),
        Case("it did not answer once, to three workers", _reloads("unreachable", Rate(0, 1 / 60)), (), (20, 1, 20)),
    ),
    "MuseModelsDiffer": (
        Case("one of three has refused the new model", _digests({"w1": "b", "w2": "b"}), _ALL_JOB, (10, 40, 10)),
        Case("all take it within 10 minutes", _digests({"w1": "b"}), (), (10, 10, 10)),
        Case("all run the same one", _digests({}), (), (10, 40, 10)),
        Case(
            "a shadow is another model",
            {**_digests({}), on("w1", "muse_model_info", slot="shadow", version="1", digest="s"): still(1)},
            minutes=(10, 40, 10),
        ),
    ),
    "MuseModelControlSkipped": (
        Case(
            "a record that three workers cannot read",
            everywhere("muse_model_control_skipped_total", Rate(0, 1 / 60)),
            _ALL_JOB,
            (20, 2, 70),
        ),
        Case("none is skipped", everywhere("muse_model_control_skipped_total", steady(0))),
    ),
    "MuseScoresNotFinite": (
        Case(
            "one worker's scores are no numbers",
            {
                **everywhere("muse_model_scores_nonfinite_total", steady(0)),
                on("w1", "muse_model_scores_nonfinite_total"): Rate(0, 1),
            },
            _ALL_JOB,
        ),
        Case("all are finite", everywhere("muse_model_scores_nonfinite_total", steady(0))),
    ),
    "MuseScoresShifted": (
        Case("scores are twice as high", _scores(Rate(1, 2), 10), _ALL_JOB, _HOURS, 60, resolves=False),
        Case("20 % higher", _scores(Rate(1, 1.2), 10), (), _HOURS, 60, resolves=False),
        Case("hardly any scores", _scores(Rate(0.001, 0.01), 0.01), (), _HOURS, 60, resolves=False),
    ),
    "MuseCandidatesWithoutVector": (
        Case("5 % of the candidates", _vectors(Rate(0.1, 5), 100), _ALL_JOB, (20, 40, 30)),
        Case("1 %", _vectors(Rate(0.1, 1), 100), (), (20, 40, 5)),
        Case("3 of 10 candidates of an idle system", _vectors(Rate(0, 0.003), 0.01), (), (20, 40, 5)),
    ),
}

VERIFIED: Mapping[str, Sequence[Case]] = {
    "MuseVerifyMismatch": (
        Case(
            "a score is not what the logs say",
            _verify("muse_verify_mismatched_total", Rate(0, 1 / 60), what="scores"),
            [{"what": "scores"}],
            (10, 2, 65),
        ),
        Case("all are the same", _verify("muse_verify_mismatched_total", steady(0), what="scores")),
    ),
    "MuseVerifyStalled": (
        Case("answers wait", _verify("muse_verify_oldest_waiting_seconds", Level(5, 900)), [{"job": "muse-verify"}]),
        Case("it is down", _verify("up", Level(1, 0)), [{"job": "muse-verify"}]),
        Case("it is not used", {}),
        Case("it follows", {**_verify("muse_verify_oldest_waiting_seconds", still(5)), **_verify("up", still(1))}),
    ),
}

CASES: Mapping[str, Sequence[Case]] = {**LOAD, **MODELS, **VERIFIED}
