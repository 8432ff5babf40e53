"""What the commands share: the settings in force, JSON output, whether a person watches."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console

from muse_stream.streams.cli.flags import CommandError, example, given, json_option, pairs_options, settings_options
from muse_stream.streams.settings import Settings

__all__ = [
    "CommandError",
    "config_file",
    "example",
    "is_terminal",
    "json_option",
    "load_settings",
    "make_console",
    "pairs_options",
    "print_json",
    "settings_options",
    "settings_overrides",
]

PLAIN_WIDTH = 120


def load_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings of the running command: its flags over the environment over the file.

    Args:
        flags: The command's own flags by their dotted settings keys; None values were not given.

    Raises:
        SettingsError: An unknown key or a wrong value.

    """
    common = given(click.get_current_context())
    return Settings.load(
        common.config, {**common.overrides, **{key: value for key, value in (flags or {}).items() if value is not None}}
    )


def config_file() -> Path | None:
    """The settings file named by a flag, if any."""
    return given(click.get_current_context()).config


def settings_overrides() -> dict[str, object]:
    """The settings named by flags alone, by their dotted keys: for a command that makes settings of its own."""
    return dict(given(click.get_current_context()).overrides)


def print_json(result: object) -> None:
    """Print a result as one line of JSON."""
    click.echo(json.dumps(result, default=str, allow_nan=False))


def make_console() -> Console:
    """A console on stdout: as wide as the terminal, or wide enough for tables where nobody watches."""
    return Console(width=None if is_terminal() else PLAIN_WIDTH)


def is_terminal() -> bool:
    """Whether a person watches stdout: progress bars and live tables then, plain lines otherwise."""
    return sys.stdout.isatty()
