"""No line of code logs whom or what a record is about: looked for in the source, by the names of values there."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("state", "gsu_engine", "esu_scorer", "monitoring", "streams")
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
TELLING = frozenset(
    {"user", "user_text", "user_id", "item", "items", "candidates", "key", "keys", "value", "body", "message", "record"}
)
"""Names that hold ids or contents of records. A number of them (`len(...)`) tells nothing, nor does a part of a
message's place (`message.partition`)."""
PLACES = frozenset({"partition", "offset", "topic"})


def log_calls(path: Path) -> Iterator[ast.Call]:
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if "log." in text else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            holder = node.func.value
            if isinstance(holder, ast.Name | ast.Attribute) and ast.unparse(holder).split(".")[-1] in {"log", "_log"}:
                yield node


def telling(node: ast.AST) -> Iterator[str]:
    """Names in an expression that tell something."""
    if isinstance(node, ast.Call) and (ast.unparse(node.func) == "len" or ast.unparse(node.func).endswith("tags")):
        return
    if isinstance(node, ast.Attribute) and node.attr in PLACES:
        return
    if isinstance(node, ast.Name) and node.id in TELLING:
        yield node.id
    if isinstance(node, ast.Attribute) and node.attr in TELLING:
        yield node.attr
    for inner in ast.iter_child_nodes(node):
        yield from telling(inner)


@cache
def calls() -> list[tuple[Path, ast.Call]]:
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [(path.relative_to(ROOT), call) for path in files for call in log_calls(path)]


def test_no_log_line_takes_an_id_or_a_content() -> None:
    found = [
        f"{path}:{call.lineno}: {name}"
        for path, call in calls()
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        for name in telling(argument)
    ]
    assert found == []


def test_there_are_log_lines_to_look_at() -> None:
    assert len(calls()) > 50


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('log.warning("%s", user)', ["user"]),
        ('log.info("x", extra=fields(key=message.key))', ["key", "message"]),
        ('log.info("%d users at %d", len(users), message.offset)', []),
        ('log.error("x", extra=fields(user=tags(mismatch.user), partition=message.partition))', []),
        ('log.error(f"no {request.user_text}")', ["user_text"]),
    ],
)
def test_what_counts_as_telling(line: str, found: list[str]) -> None:
    call = ast.parse(line).body[0].value  # type: ignore[attr-defined]
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    assert sorted(name for argument in arguments for name in telling(argument)) == sorted(found)
