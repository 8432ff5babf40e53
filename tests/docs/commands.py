"""Command lines of `muse-stream` in a page of the documentation, and what of them does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from muse_stream.streams.cli import main as cli

_COMMAND = re.compile(r"(?:`|^ +)(?:[\w./-]+/)?muse-stream ([^`|\n]*)", re.MULTILINE)


def text_of(page: Path) -> str:
    """With the line breaks within `...` taken out."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"`[^`]+`", lambda found: re.sub(r"\s+", " ", found[0]), text)


def words_of(text: str) -> Iterator[list[str]]:
    for found in _COMMAND.findall(text):
        yield found.split("#")[0].split()


def missing(words: list[str]) -> str:
    """What of a command line does not exist; empty if all does. A name in capitals stands for any."""
    context = click.Context(cli)
    command: click.Command = cli
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return "" if words[0].isupper() else words[0]
        command, words = found, words[1:]
    known = {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
    asked = [word.split("=")[0] for word in words if word.startswith("--")]
    return ", ".join(sorted(set(asked) - known))
