from muse_stream.streams.ingest.sizing import BATCH_SECONDS, RECORDS_FIRST, RECORDS_MAX, RECORDS_MIN, BatchSizer


def test_before_a_measurement_the_size_is_moderate() -> None:
    assert BatchSizer().records(serving=True) == RECORDS_FIRST
    assert BatchSizer(records_max=10).records(serving=False) == 10


def test_serving_batches_hold_the_interpreter_for_two_milliseconds() -> None:
    sizer = BatchSizer()
    sizer.measured(1_000, BATCH_SECONDS + 0.002)
    assert sizer.records(serving=True) == 1_000
    assert sizer.records(serving=False) == RECORDS_MAX


def test_small_batches_do_not_make_records_look_dear() -> None:
    sizer = BatchSizer()
    for _ in range(20):
        sizer.measured(100, BATCH_SECONDS + 100 * 2e-6)
    assert 900 < sizer.records(serving=True) <= 1_000


def test_a_costly_record_makes_catch_up_batches_small_too() -> None:
    sizer = BatchSizer()
    sizer.measured(100, BATCH_SECONDS + 0.025)
    assert sizer.records(serving=False) == 1_000
    assert sizer.records(serving=True) == RECORDS_MIN


def test_the_size_follows_the_cost_and_forgets_the_past() -> None:
    sizer = BatchSizer()
    sizer.measured(10, 0.01)
    assert sizer.records(serving=True) == RECORDS_MIN
    for _ in range(20):
        sizer.measured(10_000, BATCH_SECONDS + 0.01)
    assert 1_900 < sizer.records(serving=True) <= 2_000


def test_bounds_hold_whatever_is_measured() -> None:
    sizer = BatchSizer()
    sizer.measured(0, 5.0)
    sizer.measured(1_000_000, 1e-9)
    assert sizer.records(serving=False) == RECORDS_MAX
    for _ in range(50):
        sizer.measured(1, 100.0)
    assert sizer.records(serving=False) == RECORDS_MIN
