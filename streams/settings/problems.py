"""What is wrong with the settings, in words: where it stands, what was found, what was expected, the nearest known key.

Invariant: a value is quoted only if it is a plain scalar under a key that holds no secret.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError as SourceError

from muse_stream.streams.errors import SettingsError

SIMILAR = 0.6
"""difflib's own default cut-off: one or two wrong letters in a word of usual length."""
MISSPELT = 0.8
"""At most one wrong letter: what a sibling needs when the same word is a key of another section."""


def section_of(annotation: object) -> type[BaseModel] | None:
    """Return the model behind an annotation, through `| None`; None if it is a plain value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def is_secret(field: FieldInfo) -> bool:
    """Tell whether this is a field whose value must never be printed."""
    return any(part in (SecretStr, SecretBytes) for part in (field.annotation, *get_args(field.annotation)))


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield every key of the tree that holds a value, with its path."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            yield (*path, name), field
        else:
            yield from leaves(section, (*path, name))


def refuse_unknown_variables(
    model: type[BaseModel], environment: Mapping[str, str], prefix: str, nested: str, *, known: Sequence[str]
) -> None:
    """Check that every variable with our prefix means something.

    Raises:
        SettingsError: One does not; the nearest ones are named.

    """
    legal = [*known, *(prefix + nested.join(path).upper() for path, _ in leaves(model))]
    wrong = [
        name
        for name in environment
        if name.upper().startswith(prefix)
        and name.upper() not in known
        and not _reaches(model, name[len(prefix) :].lower().split(nested))
    ]
    if wrong:
        lines = [f"environment variable {name} is not a setting{_suggest(name.upper(), legal)}" for name in wrong]
        raise SettingsError(_joined(lines))


def explain(model: type[BaseModel], error: ValidationError, file: Path | None) -> str:
    """Put a validation error into words, one line per problem."""
    lines = [_line(model, problem["loc"], problem) for problem in error.errors(include_url=False)]
    return _joined(lines) + (f"\n(settings file: {file})" if file else "")


def explain_source(error: SourceError) -> str:
    """Put into words that a variable should hold JSON and does not; the value itself is not quoted."""
    return f'{error}; lists and maps in environment variables are written as JSON, such as \'["a", "b"]\''


def _reaches(model: type[BaseModel], parts: Sequence[str]) -> bool:
    field = model.model_fields.get(parts[0])
    if field is None:
        return False
    section = section_of(field.annotation)
    if len(parts) == 1:
        return True
    if section is not None:
        return _reaches(section, parts[1:])
    return get_origin(field.annotation) is dict


def _line(model: type[BaseModel], location: tuple[int | str, ...], problem: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in location) or "settings"
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key{_nearest(model, location)}"
    field = _field(model, location)
    found = problem.get("input")
    quotable = isinstance(found, str | int | float | bool) and not (field and _holds_secret(field))
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{path}: {said}" + (f" (found {found!r})" if quotable and repr(found) not in said else "")


def _holds_secret(field: FieldInfo) -> bool:
    section = section_of(field.annotation)
    return is_secret(field) or (section is not None and any(is_secret(inner) for _, inner in leaves(section)))


def _field(model: type[BaseModel], location: Sequence[int | str]) -> FieldInfo | None:
    """Return the field that a location names, or the one around it."""
    field: FieldInfo | None = None
    section: type[BaseModel] | None = model
    for part in location:
        if section is None or not isinstance(part, str) or part not in section.model_fields:
            break
        field = section.model_fields[part]
        section = section_of(field.annotation)
    return field


def _nearest(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Suggest a misspelt sibling, else the same or a similar word elsewhere in the tree."""
    *parents, last = (str(part) for part in location)
    field = _field(model, parents)
    section = section_of(field.annotation) if field else model
    siblings = list(section.model_fields) if section else []
    elsewhere = {path[-1]: ".".join(path) for path, _ in leaves(model)}
    close = difflib.get_close_matches(last, siblings, n=1, cutoff=MISSPELT if last in elsewhere else SIMILAR)
    if close:
        return f"; did you mean {'.'.join([*parents, close[0]])}?"
    close = difflib.get_close_matches(last, elsewhere, n=1, cutoff=SIMILAR)
    return f"; did you mean {elsewhere[close[0]]}?" if close else f"; known here: {', '.join(siblings)}"


def _suggest(name: str, legal: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, legal, n=1, cutoff=SIMILAR)
    return f"; did you mean {close[0]}?" if close else "; `muse-stream config show` lists all"


def _joined(lines: Sequence[str]) -> str:
    return lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
