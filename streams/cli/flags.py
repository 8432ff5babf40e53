"""Flags that all commands share, and errors as one line; imports nothing heavy.

The settings flags may stand before the command or after it; the later one wins. They feed the settings tree above the
environment and the file.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]


@dataclass
class Common:
    """The global flags as given so far: settings file, dotted settings keys, whether to show tracebacks."""

    config: Path | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    debug: bool = False


class CommandError(click.ClickException):
    """A command failed for a reason it can name; printed as one line, exit code 1."""


def as_click_error(error: Exception) -> click.ClickException:
    """A room's own error in its own words; any other as one line with its type, and how to see more."""
    if type(error).__module__.startswith("muse_stream."):
        return CommandError(str(error))
    text = " ".join(str(error).split())
    return CommandError(f"{type(error).__name__}: {text} (run again with --debug for the traceback)")


def pairs_options(function: F) -> F:
    """Add `--set` and `--debug`."""
    options: list[Decorator] = [
        click.option(
            "--set",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any setting, by its dotted name; repeatable.",
            callback=_pairs,
            expose_value=False,
        ),
        click.option("--debug", is_flag=True, help="Show tracebacks.", callback=_debug, expose_value=False),
    ]
    return _with(options, function)


def settings_options(function: F) -> F:
    """Add `--config`, `--brokers`, `--data-dir`, `--set` and `--debug`; they end in the context's `Common`."""
    path = click.Path(dir_okay=False, exists=True, path_type=Path)
    options = [
        _option("--config", "FILE", "Settings file (YAML).", _config, type=path),
        _option("--brokers", "HOST:PORT,..", "Kafka to use.", _setting("kafka.brokers")),
        _option("--data-dir", "DIR", "Where the stores live.", _setting("state.directory")),
    ]
    return _with(options, pairs_options(function))


def example(*lines: str) -> str:
    """An epilog that shows how the command is used; its lines are not rewrapped."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


def json_option(function: F) -> F:
    """Add `--json`: the result as one JSON object, the last line of stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def _option(name: str, metavar: str, text: str, keep: Callable[..., None], **more: Any) -> Decorator:  # noqa: ANN401
    return click.option(name, metavar=metavar, help=text, callback=keep, expose_value=False, **more)


def _with(options: list[Decorator], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def given(ctx: click.Context) -> Common:
    """The global flags of the running command line."""
    root = ctx.find_root()
    if not isinstance(root.obj, Common):
        root.obj = Common()
    return root.obj


def _config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        given(ctx).config = value


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    common = given(ctx)
    common.debug = common.debug or value


def _setting(key: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            given(ctx).overrides[key] = value

    return keep


def _pairs(ctx: click.Context, _: click.Parameter, values: tuple[str, ...]) -> None:
    for pair in values:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            message = f"--set {pair!r} is not KEY=VALUE; for example --set serving.k=20"
            raise click.UsageError(message)
        given(ctx).overrides[key] = _value(value)


def _value(text: str) -> object:
    """A flag's value: lists and maps are JSON; the settings tree turns other text into numbers where it wants them."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f'--set value {text!r} is not JSON: {error}; lists are written as ["a", "b"]'
        raise click.UsageError(message) from None
