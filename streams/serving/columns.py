"""Cosines from the search to the model where both work on one GPU: they stay there, and no copy of them goes up again.

What was retrieved still comes to the host first, and a pass waits there twice: see `gsu_engine.cuda.search`.
"""

from muse_stream.esu_scorer import Cosines, ServedModel
from muse_stream.gsu_engine.columns import DeviceColumns

CPU = "cpu"
KINDS = {1: CPU, 2: "cuda"}  # DLPack's numbers of devices, by Torch's names


def wants_columns(model: ServedModel | None) -> bool:
    """Whether scores that stay on a device are of use to the model: one on the CPU reads those on the host."""
    return model is not None and model.device != CPU


def cosines_for(
    model: ServedModel, columns: DeviceColumns | None, first: int, count: int, spread: int
) -> Cosines | None:
    """The columns of the candidates that are scored, as the model reads them; None where it has to read the host's.

    Args:
        model: What scores, with K and R not above those of the search.
        columns: Of a whole search, or None.
        first: The first candidate that is scored.
        count: How many are.
        spread: How many lie from the first to the last of them; more than `count`: others are among them.

    """
    if columns is None or count != spread or not _together(model.device, columns):
        return None
    own = columns.cut(first, first + count, model.info.k, model.info.r)
    return Cosines(recent=own.recent_scores, retrieved=own.scores)


def _together(device: str, columns: DeviceColumns) -> bool:
    """Whether the columns lie where the model scores."""
    kind, number = columns.scores.__dlpack_device__()
    name, _, own = device.partition(":")
    return (KINDS.get(int(kind)), number) == (name, int(own or 0))
