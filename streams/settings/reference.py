"""The reference page of the settings, made from the tree itself.

Invariant: `docs/settings.md` is the output of `python -m muse_stream.streams.settings.reference`; a test compares them,
so the page lists exactly the keys that exist.
"""

import sys
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from muse_stream.streams.settings import problems
from muse_stream.streams.settings.tree import CONFIG_VARIABLE, HIDDEN, NESTED, PREFIX, Settings

INTRODUCTION = f"""# Settings

For every key the first of these that names it wins:

1. the command line: a flag, such as `--brokers`
2. the environment: `{PREFIX}` + the key in capitals, with `{NESTED}` between section and key, such as
   `{PREFIX}KAFKA{NESTED}BROKERS=broker-1:9092,broker-2:9092`; lists and maps are written as JSON
3. the YAML file given with `--config` or named by `{CONFIG_VARIABLE}`
4. the default

Sections are merged key by key; a list or a map (`items.spaces`, `actions`) is replaced whole. A key that does not exist
is an error in all three places, and the message names the nearest one that does. A number with a unit says it in its
name. Secrets are shown as `{HIDDEN}` everywhere; keep them in the environment rather than in the file.

```yaml
kafka:
  brokers: broker-1:9092,broker-2:9092
topics:
  partitions: 16
  replication: 3
state:
  directory: /var/lib/muse-stream
```

`muse-stream config show` prints what is in effect; `muse-stream config schema` prints a JSON schema, with which an
editor completes and checks the file.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [INTRODUCTION]
    plain = {name: field for name, field in Settings.model_fields.items() if not problems.section_of(field.annotation)}
    for name, field in Settings.model_fields.items():
        section = problems.section_of(field.annotation)
        if section is not None:
            parts.append(_section(name, section))
    parts.extend(_table("Without a section", plain.items(), ""))
    return "\n".join(parts)


def _section(name: str, section: type[BaseModel]) -> str:
    about = (section.__doc__ or "").strip().split("\n")[0]
    rows = [(".".join(path), field) for path, field in problems.leaves(section)]
    return "\n".join(_table(f"`{name}`: {about[0].lower()}{about[1:].rstrip('.')}", rows, name + "."))


def _table(title: str, rows: Any, prefix: str) -> list[str]:  # noqa: ANN401 -- dict items or a list of the same pairs
    head = [f"## {title}\n", "| key | kind | default | meaning |", "|---|---|---|---|"]
    body = [
        f"| `{prefix}{key}` | {_kind(field)} | {_default(field)} | {_sentence(field.description or '')} |"
        for key, field in rows
    ]
    return [*head, *body, ""]


def _kind(field: FieldInfo) -> str:
    return _cell(_named(field.annotation) + _bounds(field))


def _named(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _named(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_named(part) for part in arguments if part is not NoneType)
    if origin is list:
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"map: {_named(arguments[0])} to {_named(arguments[1])}"
    words = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "Path": "path"}
    name = cast("type", annotation).__name__
    return "secret" if name.startswith("Secret") else words.get(name, name)


def _bounds(field: FieldInfo) -> str:
    found = {
        key: getattr(part, key) for part in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(part, key)
    }
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    return "".join(f" {signs[key]} {value}" for key, value in found.items())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or problems.is_secret(field):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{key}: {inner}" for key, inner in value.items()) + "}`"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if str(value) else "empty"


def _sentence(text: str) -> str:
    return _cell(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
