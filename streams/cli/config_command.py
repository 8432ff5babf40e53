"""`muse-stream config`: the settings in force."""

import json

import click

from muse_stream.streams.cli.common import example, json_option, load_settings, print_json, settings_options
from muse_stream.streams.settings import Settings


@click.group(epilog=example("muse-stream config show"))
def command() -> None:
    """Show the settings in force."""


@command.command(epilog=example("muse-stream config show --config muse.yaml --set serving.k=20"))
@settings_options
@json_option
def show(as_json: bool) -> None:
    """Print every setting with the value in force, secrets hidden; the YAML is a valid settings file."""
    settings = load_settings()
    if as_json:
        print_json(settings.show())
    else:
        click.echo(settings.show_yaml(), nl=False)


@command.command(epilog=example("muse-stream config schema > muse.schema.json"))
def schema() -> None:
    """Print the JSON schema of the settings file, for editors."""
    click.echo(json.dumps(Settings.schema_for_editors(), indent=2))
