"""The habits of the tree: imports point down, files and functions stay small, nothing foreign is named."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "state": set(),
    "monitoring": set(),
    "esu_scorer": set(),
    "gsu_engine": {"state"},
    "streams": {"state", "monitoring", "esu_scorer", "gsu_engine"},
}
FILE_LINES_MAX, FILE_LINES_MEDIAN, FUNCTION_LINES_MAX, FUNCTION_LINES_MEDIAN = 500, 200, 60, 10
REGISTRIES = "|".join(["py" + "pi", "python" + "hosted", "npm" + "js", "ma" + "ven"])
REGISTRY_HOST = re.compile(rf"://[^/\s\"']*({REGISTRIES})[^/\s]*\.\w+")
LEFTOVER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    paths = (ROOT / name for name in listed.stdout.splitlines())
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = (module.split(".") for module in imported_modules(tree_of(path)))
    return {names[1] for names in parts if names[0] == "muse_stream" and len(names) > 1}


def function_lengths(path: Path) -> list[tuple[str, int]]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]
    return [(f"{name_of(path)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1) for node in found]


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_down(room: str) -> None:
    files = [path for path in python_files() if path.relative_to(ROOT).parts[0] == room]
    assert files, f"the room {room} has no files"
    wrong = {
        f"{name_of(path)} imports {other}"
        for path in files
        for other in rooms_imported(path) & (MAY_IMPORT.keys() | {"benchmarks"}) - MAY_IMPORT[room] - {room}
        if not (other == "benchmarks" and "cli" in path.parts)
    }
    assert not wrong


def test_rooms_are_imported_by_their_one_name() -> None:
    bare = {
        f"{name_of(path)} imports {module}"
        for path in python_files()
        for module in imported_modules(tree_of(path))
        if module.split(".")[0] in MAY_IMPORT
    }
    assert not bare, "import muse_stream.<room>, never the folder at the top"


def test_files_are_small() -> None:
    lines = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in python_files()}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}
    assert statistics.median(lines.values()) <= FILE_LINES_MEDIAN


def test_functions_are_small() -> None:
    lengths = [pair for path in python_files() for pair in function_lengths(path)]
    assert [pair for pair in lengths if pair[1] > FUNCTION_LINES_MAX] == []
    assert statistics.median(length for _, length in lengths) <= FUNCTION_LINES_MEDIAN


def test_nothing_is_left_over() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in python_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFTOVER.search(line)
    ]
    assert found == []


def test_no_registry_host_is_named() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [name_of(path)] if REGISTRY_HOST.search(text) else []
    assert found == []


def test_no_file_is_large() -> None:
    assert [name_of(path) for path in tracked() if path.stat().st_size > 2_000_000] == []
