"""JSON Schemas of the topics' values, generated from the structs that the decoders use.

`python -m muse_stream.streams.wire.schemas` writes them beside this file again; a test fails where they differ.

Invariant: a value that a schema refuses, its decoder refuses too (a decoder also sees keys, clocks and settings, so it
refuses more).
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.behaviour_json import BehaviourValue
from muse_stream.streams.wire.items import ItemValue
from muse_stream.streams.wire.rejects import DeadLetter
from muse_stream.streams.wire.requests import RequestValue
from muse_stream.streams.wire.users import UserValue

FOLDER = Path(__file__).parent
VALUES: dict[str, type[msgspec.Struct]] = {
    "behaviours": BehaviourValue,
    "users": UserValue,
    "items": ItemValue,
    "requests": RequestValue,
    "scores": Answer,
    "dead-letters": DeadLetter,
}
"""Topics and the struct of their JSON value."""


def schema_of(topic: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a topic's value."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(VALUES[topic])}


def schema_text(topic: str) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema_of(topic), indent=2) + "\n"


def write() -> None:
    """Write every topic's file."""
    for topic in VALUES:
        (FOLDER / f"{topic}.json").write_text(schema_text(topic), encoding="utf-8")
