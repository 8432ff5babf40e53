"""The model store of a world: what `muse-stream models add` and `activate` do, as calls.

Invariant: an artefact is looked at when it is added, as the command does; what becomes of its files afterwards is the
caller's, and activating it then is what happens where a store is damaged after that look.
"""

from pathlib import Path

from muse_stream.benchmarks.serve_world import World
from muse_stream.esu_scorer import Entry, ModelStore
from muse_stream.streams.cli.models_control import author, control, publish
from muse_stream.streams.models.activating import activation_of
from muse_stream.streams.models.control import Slot
from muse_stream.streams.settings import Settings

FIRST, SECOND = "first", "second"


class Models:
    """Models in a directory that all workers take them from.

    Attributes:
        location: The directory, one folder per model.
        entries: What was added, by name.

    """

    def __init__(self, directory: Path, items: World) -> None:
        """Prepare; `items` are what a model knows."""
        self.location = directory / "models"
        self.location.mkdir(parents=True)
        self.entries: dict[str, Entry] = {}
        self._made, self._items = directory / "made", items
        self._store = ModelStore(str(self.location), directory / "models-cache")

    def add(self, name: str, seed: int) -> Path:
        """Make a seeded, untrained model and add it; the directory in the store that holds it."""
        self._items.artefact(seed=seed, version=f"live-{name}").save(self._made / name)
        self.entries[name] = self._store.add(name, self._made / name)
        return self.location / name

    def activate(self, settings: Settings, name: str, *, share: float | None = None) -> None:
        """Let workers serve it, or with a share of the requests have it as their shadow."""
        slot: Slot = "live" if share is None else "shadow"
        with control(settings) as follower:
            activation = activation_of(self.entries[name], author(), follower.current(slot), share=share)
        publish(settings, slot, activation)
