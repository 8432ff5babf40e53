"""What must fire, and what must not, by alert."""

from collections.abc import Mapping, Sequence

from tests.deploy.cases import burns, ingest, requests, stores, workers
from tests.deploy.timeline import Case

ALL: Mapping[str, Sequence[Case]] = {
    **burns.CASES,
    **workers.CASES,
    **ingest.CASES,
    **stores.CASES,
    **requests.CASES,
}
