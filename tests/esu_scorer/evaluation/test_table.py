from muse_stream.esu_scorer.evaluation import Interval, details, difference, evaluate, table
from muse_stream.esu_scorer.evaluation.table import aligned, shown
from tests.esu_scorer.evaluation.making import random_scores

REPORTS = {"muse": evaluate(random_scores(skill=1.0)), "din": evaluate(random_scores(skill=0.5), rounds=0)}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_is_aligned_and_says_what_it_knows() -> None:
    text = table(
        REPORTS,
        published={"muse": 0.6154},
        differences={"muse": difference(random_scores(skill=1.0), random_scores(skill=0.5))},
        against="din",
        caveat="Negatives are drawn by popularity.",
    )
    head, rule, muse, din, *rest = text.splitlines()
    assert len({len(line) for line in (head, rule, muse, din)}) == 1
    row = dict(zip(cells(head), cells(muse), strict=True))
    assert row["model"] == "muse"
    assert row["GAUC"] == shown(REPORTS["muse"].gauc)
    assert row["GAUC published, not rerun"] == "0.6154"
    assert row["GAUC – din"].startswith("+0.")
    assert row["samples"] == "3,600"
    bare = dict(zip(cells(head), cells(din), strict=True))
    assert (bare["GAUC – din"], bare["GAUC published, not rerun"]) == ("–", "–")
    assert bare["GAUC"] == f"{REPORTS['din'].gauc.value:.4f}"
    assert rest == ["", "Negatives are drawn by popularity."]


def test_columns_that_were_not_asked_for_are_left_out() -> None:
    head = table(REPORTS).splitlines()[0]
    assert "published" not in head
    assert "–" not in head


def test_no_models_make_a_table_of_no_rows() -> None:
    assert len(table({}).splitlines()) == 2


def test_details_show_every_bin_and_bucket() -> None:
    report = REPORTS["muse"]
    lines = details(report).splitlines()
    shown_rows = len(report.reliability) + len(report.by_length) + len(report.by_age)
    assert len([line for line in lines if line]) == shown_rows + 3 * 2
    assert any(line.startswith("| 200 to 499") for line in lines)


def test_numbers_are_shown_with_what_is_known_of_them() -> None:
    assert shown(Interval(0.61541, 0.612, 0.6188)) == "0.6154 [0.6120, 0.6188]"
    assert shown(Interval(0.61541, None, None)) == "0.6154"
    assert shown(Interval(-0.01, -0.02, 0.001), sign=True) == "-0.0100 [-0.0200, +0.0010]"
    assert shown(Interval(None, None, None)) == shown(None) == "–"


def test_a_bar_in_a_name_does_not_make_a_column() -> None:
    assert aligned(["a", "b"], [["x|y", "1"]]).splitlines()[2] == "| x\\|y |   1 |"
