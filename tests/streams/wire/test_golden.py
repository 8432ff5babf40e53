import pytest

from muse_stream.streams.wire.golden import FILES, FOLDER, cases, golden_text
from muse_stream.streams.wire.rejects import Reason


@pytest.mark.parametrize("name", FILES)
def test_files_are_current(name: str) -> None:
    found = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert found == golden_text(name), "run: python -m muse_stream.streams.wire.golden"


def test_no_other_files() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FILES)


@pytest.mark.parametrize("records", [cases.BEHAVIOURS, cases.USERS, cases.ITEMS, cases.REQUESTS])
def test_case_names_are_distinct(records: tuple[cases.Case, ...]) -> None:
    assert len({case.name for case in records}) == len(records)


def test_every_reason_has_a_golden_record() -> None:
    shown = "".join((FOLDER / f"{name}.json").read_text(encoding="utf-8") for name in FILES)
    assert [reason for reason in Reason if f'"{reason}"' not in shown] == []
