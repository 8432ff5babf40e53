"""`muse-stream models`: what the store has, what is active, what each worker runs; activate, roll back, compare."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from muse_stream.esu_scorer import Artefact, Entry, ModelStore
from muse_stream.esu_scorer.differences import field_differences, tensor_differences
from muse_stream.streams.cli.common import (
    CommandError,
    example,
    json_option,
    load_settings,
    make_console,
    print_json,
    settings_options,
)
from muse_stream.streams.cli.models_control import author, control, now_ms, publish, wait_for
from muse_stream.streams.cli.models_show import (
    SHORT,
    difference_lines,
    entry_document,
    entry_lines,
    models_table,
    outcome_line,
    slot_lines,
    slots_document,
    workers_document,
    workers_table,
)
from muse_stream.streams.errors import KafkaError
from muse_stream.streams.models.activating import (
    State,
    activation_of,
    checked,
    configured,
    rolled_back,
    target_of_rollback,
)
from muse_stream.streams.models.control import SLOTS, Activation, Slot
from muse_stream.streams.models.follower import ControlFollower
from muse_stream.streams.models.state import Seen
from muse_stream.streams.settings import Settings

COMPARED_FORMAT = "muse-esu"

store_option = click.option("--store", metavar="LOCATION", help="Path or URL of the store; default: model.store.")


@dataclass(frozen=True, slots=True)
class Ask:
    """What the commands that change a slot are asked for alike.

    Attributes:
        settings: In force.
        store: Location of the store; None: the settings'.
        wait: Seconds to wait for the workers; None: not at all.
        dry_run: Publish nothing.
        as_json: Print JSON.

    """

    settings: Settings
    store: str | None
    wait: float | None
    dry_run: bool
    as_json: bool

    def say(self, line: str) -> None:
        """Tell a person."""
        if not self.as_json:
            click.echo(line)


def change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what the commands that change a slot share; they get it as `ask`."""

    @wraps(function)
    def asked(*, store: str | None, wait: float | None, dry_run: bool, as_json: bool, **own: Any) -> None:  # noqa: ANN401
        function(ask=Ask(load_settings(), store, None if dry_run else wait, dry_run, as_json), **own)

    wait = click.option(
        "--wait",
        type=click.FloatRange(0),
        metavar="SECONDS",
        help="Wait until every worker runs it or has refused; exit code 1 unless all run it.",
    )
    dry = click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; change nothing.")
    with_options: Callable[..., None] = wait(dry(store_option(json_option(settings_options(asked)))))
    return with_options


@click.group(
    epilog=example(
        "muse-stream models add autumn-2 runs/second/artefact",
        "muse-stream models list",
        "muse-stream models activate autumn-2 --wait 120",
        "muse-stream models rollback --wait 120",
    )
)
def command() -> None:
    """See, activate and roll back models while workers serve.

    A store is a directory, or an object store, with one folder per model. Set it once for all workers (model.store). To
    activate is to write one record to the topic `models`: every worker follows it, loads the model beside the one that
    serves, checks it, and swaps between two passes. A worker that cannot serve it keeps what it has and says why.
    """


@command.command(
    "list", epilog=example("muse-stream models list", "muse-stream models list --store s3://bucket/models")
)
@store_option
@json_option
@settings_options
def list_(store: str | None, as_json: bool) -> None:
    """Show the models of the store, which are active, and what each worker runs or has refused.

    Without brokers the store alone is shown. A worker repeats its report every minute; after three minutes of silence
    it is shown as stale.
    """
    settings = load_settings()
    with opened(settings, store) as models:
        entries = models.entries()
    slots, reports, trouble = told_by(settings)
    now = now_ms()
    if as_json:
        documents = [entry_document(entry) for entry in entries]
        workers = workers_document(reports, now)
        print_json({"models": documents, "slots": slots_document(slots), "workers": workers, "problem": trouble})
        return
    console = make_console()
    console.print(models_table(entries, slots, now))
    for entry in entries:
        if entry.problem:
            click.echo(f"{entry.name}: {entry.problem}")
    for line in slot_lines(slots, entries) if trouble is None else [f"what is active is not known: {trouble}"]:
        click.echo(line)
    if reports:
        console.print(workers_table(reports, now))
    elif trouble is None:
        click.echo("no worker has reported")


@command.command(epilog=example("muse-stream models show autumn-2"))
@click.argument("name")
@store_option
@json_option
@settings_options
def show(name: str, store: str | None, as_json: bool) -> None:
    """Show what model NAME says of itself: features, space, network, what it was trained on and measured."""
    with opened(load_settings(), store) as models:
        entry, manifest = models.entry(name), models.manifest(name)
    if as_json:
        print_json({**entry_document(entry), "manifest": manifest})
        return
    for line in entry_lines(entry, manifest):
        click.echo(line)


@command.command(epilog=example("muse-stream models add autumn-2 runs/second/artefact"))
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@store_option
@json_option
@settings_options
def add(name: str, path: Path, store: str | None, as_json: bool) -> None:
    """Copy the artefact in directory PATH into the store, as model NAME.

    It is loaded and compared with its digest first. A name that is taken is refused: a model that was activated, and
    that answers name, stays what it was.
    """
    with opened(load_settings(), store) as models:
        entry = models.add(name, path)
    if as_json:
        print_json(entry_document(entry))
        return
    click.echo(f"{name} {entry.digest[:SHORT]} (space {entry.space}) is in the store")
    click.echo(f"next: muse-stream models activate {name} --dry-run")


@command.command(
    epilog=example("muse-stream models activate autumn-2 --dry-run", "muse-stream models activate autumn-2 --wait 120")
)
@click.argument("name")
@change_options
def activate(name: str, ask: Ask) -> None:
    """Let all workers serve model NAME.

    Looked at before anything is published: the artefact is whole, its vector space is in items.spaces, its features are
    in the settings. What a worker finds beyond that, it refuses, and keeps the model that it has.
    """
    with opened(ask.settings, ask.store) as models, control(ask.settings) as follower:
        entry = checked(models, ask.settings, name)
        before = configured(follower.reports(), models, now_ms())
        activation = activation_of(entry, author(), follower.current("live"), before)
        change(ask, follower, "live", activation)


@command.command(epilog=example("muse-stream models rollback --dry-run", "muse-stream models rollback --wait 120"))
@change_options
def rollback(ask: Ask) -> None:
    """Go back to what was live before; again: to what was before that.

    Model and vector space go back together. The model that is left can be activated again by its name.
    """
    with opened(ask.settings, ask.store) as models, control(ask.settings) as follower:
        current = follower.current("live")
        ref = target_of_rollback(current)
        entry = checked(models, ask.settings, ref.name, ref.digest)
        assert current is not None  # noqa: S101 - it has something before it
        activation = rolled_back(entry, author(), current)
        change(ask, follower, "live", activation)


@command.command(epilog=example("muse-stream models shadow autumn-3 --share 0.1", "muse-stream models shadow --off"))
@click.argument("name", required=False)
@click.option("--share", type=float, metavar="SHARE", help="Of the requests, above 0 and up to 1.")
@click.option("--off", is_flag=True, help="End the shadow.")
@change_options
def shadow(name: str | None, share: float | None, off: bool, ask: Ask) -> None:
    """Let model NAME score a share of the requests beside the live one; only compared, never in an answer.

    How far its scores and ranks are from the live ones is in the metrics muse_shadow_*. Under load it is what is
    dropped first.
    """
    if off:
        if name is not None or share is not None:
            message = "--off takes neither NAME nor --share"
            raise click.UsageError(message)
        with control(ask.settings) as follower:
            change(ask, follower, "shadow", None)
        return
    if name is None or share is None or not 0 < share <= 1:
        message = "name a model and --share above 0 and up to 1, such as 0.1; or --off"
        raise click.UsageError(message)
    with opened(ask.settings, ask.store) as models, control(ask.settings) as follower:
        entry = checked(models, ask.settings, name)
        activation = activation_of(entry, author(), follower.current("shadow"), share=share)
        change(ask, follower, "shadow", activation)


@command.command(epilog=example("muse-stream models diff autumn-1 autumn-2"))
@click.argument("first")
@click.argument("second")
@store_option
@json_option
@settings_options
def diff(first: str, second: str, store: str | None, as_json: bool) -> None:
    """Show in what models FIRST and SECOND differ.

    Features, space, network, vocabularies and metrics by their manifests, then weights and ids tensor by tensor.
    """
    with opened(load_settings(), store) as models:
        fields = field_differences(models.manifest(first), models.manifest(second))
        both = (models.entry(first), models.entry(second))
        comparable = all(entry.format == COMPARED_FORMAT for entry in both)
        tensors = tensor_differences(*(loaded(models, entry).tensors for entry in both)) if comparable else None
    if as_json:
        print_json({"fields": msgspec.to_builtins(fields), "tensors": msgspec.to_builtins(tensors)})
        return
    for line in difference_lines(fields, tensors):
        click.echo(line)


@contextmanager
def opened(settings: Settings, store: str | None) -> Iterator[ModelStore]:
    """The store named by the flag or the settings; copies of remote models are gone afterwards."""
    location = store or settings.model.store
    if location is None:
        message = "no model store; name it with --store, or set model.store for all workers"
        raise CommandError(message)
    with tempfile.TemporaryDirectory(prefix="muse-models-") as cache:
        yield ModelStore(location, Path(cache))


def loaded(models: ModelStore, entry: Entry) -> Artefact:
    """The artefact itself."""
    return Artefact.load(models.fetch(entry.name, entry.digest))


def told_by(settings: Settings) -> tuple[dict[Slot, Activation], dict[str, Seen], str | None]:
    """Slots and reports of the control topic, and why they are not known."""
    try:
        with control(settings) as follower:
            found = {slot: follower.current(slot) for slot in SLOTS}
            return {slot: one for slot, one in found.items() if one}, follower.reports(), None
    except KafkaError as error:
        return {}, {}, str(error)


def change(ask: Ask, follower: ControlFollower, slot: Slot, activation: Activation | None) -> None:
    """Publish, wait where that is asked for, and say what became of it.

    Raises:
        CommandError: It was waited for, and a worker does not run it.
        KafkaError: The brokers did not take it.

    """
    if not ask.dry_run:
        publish(ask.settings, slot, activation)
    said = f"{activation.name} {activation.digest[:SHORT]} (space {activation.space})" if activation else "nothing"
    ask.say(f"{slot}: {'would have' if ask.dry_run else 'has'} {said}")
    found = None
    if ask.wait is not None:
        found = wait_for(follower, slot, activation, ask.wait, lambda one: ask.say(f"  {outcome_line(one)}"))
    elif not ask.dry_run:
        ask.say("workers load it beside the model that serves; `muse-stream models list` shows what each runs")
    if ask.as_json:
        document = {"slot": slot, "activation": msgspec.to_builtins(activation), "published": not ask.dry_run}
        print_json({**document, "workers": msgspec.to_builtins(found)})
    if found is not None:
        require_followed([one.state for one in found])


def require_followed(states: list[State]) -> None:
    """Raise `CommandError` unless every worker that is heard of runs it."""
    heard = [state for state in states if state != "stale"]
    left = [state for state in heard if state != "runs"]
    if "refused" in left:
        message = (
            f"{left.count('refused')} of {len(heard)} workers refused, they keep what they had; mend the reason and "
            f"activate again, or go back: muse-stream models rollback"
        )
        raise CommandError(message)
    if left or not heard:
        which = f"{len(left)} of {len(heard)} workers did not follow" if heard else "no worker has reported"
        message = f"{which} in time; what was published stays, `muse-stream models list` shows how far they are"
        raise CommandError(message)
