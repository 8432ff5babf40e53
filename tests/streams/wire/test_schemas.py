import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from muse_stream.streams.wire.answers import Answer, Status, encode_answer
from muse_stream.streams.wire.behaviours import decode_behaviours
from muse_stream.streams.wire.golden import cases
from muse_stream.streams.wire.golden.cases import Case
from muse_stream.streams.wire.rejects import Reason, Reject, encode_dead_letter
from muse_stream.streams.wire.schemas import FOLDER, VALUES, schema_of, schema_text
from tests.streams.wire.helpers import RULES, batch, behaviour_objects, seeded
from tests.streams.wire.test_answers import FULL


def validator(topic: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(topic))


@pytest.mark.parametrize("topic", VALUES)
def test_files_are_current(topic: str) -> None:
    found = (FOLDER / f"{topic}.json").read_text(encoding="utf-8")
    assert found == schema_text(topic), "run: python -m muse_stream.streams.wire.schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(found))


def test_no_other_files() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(VALUES)


@pytest.mark.parametrize("case", [case for case in cases.BEHAVIOURS if not case.headers], ids=lambda case: case.name)
def test_what_is_accepted_is_valid(case: Case) -> None:
    if case.value is None:
        return
    rows, _ = decode_behaviours(batch([case.value], [case.key]), RULES)
    if len(rows):
        assert validator("behaviours").is_valid(json.loads(case.value))


BEHAVIOURS = validator("behaviours")


@seeded
@given(behaviour_objects())
def test_what_is_invalid_is_rejected(value: dict[str, Any]) -> None:
    _, rejects = decode_behaviours(batch([json.dumps(value).encode()]), RULES)
    assert rejects or BEHAVIOURS.is_valid(value)


@pytest.mark.parametrize(
    ("topic", "value", "valid"),
    [
        ("users", {"features": {"a": 1, "b": "x", "c": None}}, True),
        ("users", {"features": {"a": 1.5}}, False),
        ("items", {"category": 1, "vector": [1, 2]}, True),
        ("items", {"price": 1}, False),
        ("requests", {"request_id": "r", "candidates": [1, "a", {"item": 2}]}, True),
        ("requests", {"request_id": "r", "candidates": [1] * 2_001}, False),
        ("requests", {"candidates": [1]}, False),
        ("requests", {"request_id": "r", "k": 201}, False),
    ],
)
def test_examples(topic: str, value: dict[str, Any], valid: bool) -> None:
    assert validator(topic).is_valid(value) is valid


@pytest.mark.parametrize("answer", [FULL, Answer(request_id=None, user=None, status=Status.ERROR)])
def test_answers_are_valid(answer: Answer) -> None:
    validator("scores").validate(json.loads(encode_answer(answer)))


def test_dead_letters_are_valid() -> None:
    reject = Reject("users", 1, 2, Reason.BAD_JSON, "why", None, b"x", (("a", b"b"),), 3)
    validator("dead-letters").validate(json.loads(encode_dead_letter(reject)[1]))
