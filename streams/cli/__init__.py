"""The command line: `muse-stream COMMAND`.

Invariant: naming a command imports that command's module and no other, so that `--help` and `--version` answer at once.
Every error ends as one line on stderr and an exit code: 0 done, 1 failed, 2 wrong usage; `--debug` shows the traceback.
"""

import os
from importlib import import_module
from importlib.metadata import version

import click

from muse_stream.streams.cli.flags import as_click_error, example, given, settings_options

COMMANDS: dict[str, str] = {
    "demo": "Real purchases through a real Kafka to scored requests, in under a minute.",
    "kafka": "Run the embedded Kafka in the foreground.",
    "topics": "Create and show the topics.",
    "worker": "Run one worker: ingest, retrieval, scoring.",
    "replay": "Send behaviours from a file, or the bundled ones, to Kafka.",
    "request": "Send one ranking request and show the answer.",
    "inspect": "Show what is stored about a user.",
    "audit": "Compare stores and a worker's memory with the log.",
    "verify-served": "Compute served answers again from the logs, and compare.",
    "snapshot": "Make, show, check and restore snapshots of the stores.",
    "train": "Train a model on real or planted data; writes an artefact.",
    "compare": "Train a set of models and compare them, with intervals.",
    "models": "Show, activate, roll back and compare models while workers serve.",
    "vectors": "Learn item vectors, compare them, publish them.",
    "export": "Make samples of impressions, with everything as it was then.",
    "parity": "Compare the network with a reference file, stage by stage.",
    "bench": "Measure, against other libraries.",
    "check": "Check settings, broker, topics, stores and devices; advise.",
    "config": "Show the settings in force.",
}
LEARNING = {"train", "compare"}


class LazyGroup(click.Group):
    """A group whose commands live in modules named after them and are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a first day, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in LEARNING:
            # Read by OpenMP when Torch is imported. Threads that spin while they wait take the cores from the one that
            # prepares the next batch: with as many threads as cores, training is then eight times as slow.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        module = import_module(f"muse_stream.streams.cli.{cmd_name.replace('-', '_')}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run, and turn whatever is raised into one helpful line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if given(ctx).debug:
                raise
            raise as_click_error(error) from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("muse-stream demo"),
)
@click.version_option(version("muse-stream"), prog_name="muse-stream")
@settings_options
def main() -> None:
    """Lifelong user interest from a Kafka log: exact top-K over 100 000 behaviours a user, scored by MUSE."""
