"""Reading the YAML settings file.

Invariant: what is returned says exactly what the file says; a key given twice is an error instead of the last one
silently winning, and a name such as 129_1 stays a name (YAML 1.1 would read the integer 1291).
"""

import re
from pathlib import Path
from typing import Any

import yaml

from muse_stream.streams.errors import SettingsError


class _Loader(yaml.SafeLoader):
    """The safe loader, strict about keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                message = f"line {key_node.start_mark.line + 1}: {key!r} is given twice; keep one"
                raise yaml.YAMLError(message)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_INTEGER = "tag:yaml.org,2002:int"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _INTEGER]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INTEGER, re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))


def read_file(path: Path) -> dict[str, Any]:
    """Return the sections of a YAML file; an empty file has none, an empty section is as if it were not there.

    Raises:
        SettingsError: The file is missing, unreadable, not YAML, has a key twice, or is not a map of sections.

    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 -- derives from SafeLoader
    except OSError as error:
        message = f"settings file {path}: {error.strerror}; name an existing file with --config or MUSE_CONFIG"
        raise SettingsError(message) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"settings file {path} is not valid YAML: {error}"
        raise SettingsError(message) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        message = f"settings file {path} holds a {type(tree).__name__}; expected sections such as 'kafka:'"
        raise SettingsError(message)
    return {name: section for name, section in tree.items() if section is not None}
