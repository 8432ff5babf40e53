"""The model store of a world: what `muse-stream models add` and `activate` do, as calls.

Invariant: an artefact is looked at when it is added and when it is activated, as the commands do; what becomes of its
files afterwards is the caller's.
"""

from pathlib import Path

from muse_stream.benchmarks.serve_world import World
from muse_stream.esu_scorer import ModelStore
from muse_stream.streams.cli.models_control import author, control, publish
from muse_stream.streams.models.activating import activation_of, checked
from muse_stream.streams.settings import Settings

FIRST, SECOND = "first", "second"


class Models:
    """Models in a directory that all workers take them from."""

    def __init__(self, directory: Path, items: World) -> None:
        """Prepare; `items` are what a model knows."""
        self.location = directory / "models"
        self.location.mkdir(parents=True)
        self._made, self._items = directory / "made", items
        self._store = ModelStore(str(self.location), directory / "models-cache")

    def add(self, name: str, seed: int) -> Path:
        """Make a seeded, untrained model and add it; the directory in the store that holds it."""
        self._items.artefact(seed=seed, version=f"live-{name}").save(self._made / name)
        self._store.add(name, self._made / name)
        return self.location / name

    def activate(self, settings: Settings, name: str, *, share: float | None = None) -> None:
        """Let workers serve it, or with a share of the requests have it as their shadow."""
        entry = checked(self._store, settings, name)
        with control(settings) as follower:
            slot = "live" if share is None else "shadow"
            publish(settings, slot, activation_of(entry, author(), follower.current(slot), share=share))
