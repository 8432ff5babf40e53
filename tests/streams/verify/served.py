"""Answers by the serving code over logs in lists, put into these logs as a worker would; their verification."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from muse_stream.esu_scorer import Artefact, FeatureSpec, MuseConfig, Scorer
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.streams.export.cluster import Cluster, LogSetting, engine_of
from muse_stream.streams.export.moments import Moment
from muse_stream.streams.export.past import Horizon, LogPast
from muse_stream.streams.serving import answers
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.exchanges import request_rules
from muse_stream.streams.verify.ledger import Wanted
from muse_stream.streams.verify.once import Run, Shows
from muse_stream.streams.verify.report import Report
from muse_stream.streams.verify.world import VerifyWorld
from muse_stream.streams.wire.answers import Answer, decode_answer, encode_answer
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import Candidate, FilterFields, Request, RequestValue, parse_request
from muse_stream.streams.wire.users import decode_profile
from tests.streams.export.logs import DIMENSION, START_MS, ListReader, Logs, mixed, partition_of, settings_of

SPEC = FeatureSpec.of({"item": 4, "category": 4, "brand": 4}, {"country": 4, "band": 4})
KNOWN = {"item": range(1, 13), "category": range(1, 6), "brand": range(1, 200), "country": range(1, 200)}
USERS: list[Id] = [1, 2, 3, "anna", "bert"]
NEVER = Horizon(False, 0)


def model(seed: int = 5, space: str = "v1") -> Artefact:
    """A small seeded model."""
    known = {name: list(ids) for name, ids in KNOWN.items()}
    return Artefact.untrained(SPEC, known, seed=seed, space=space, network=MuseConfig(tower=(16, 8)))


def two_spaces(**more: Any) -> Settings:
    return settings_of(**{"items.spaces": {"v1": DIMENSION, "v2": DIMENSION}, **more})


def models(*artefacts: Artefact) -> Any:
    """The models of these digests."""
    shelf = {artefact.digest: Scorer(artefact) for artefact in artefacts}
    return shelf.get


@dataclass
class Served:
    """Logs with requests and answers in them."""

    logs: Logs = field(default_factory=Logs)
    settings: Settings = field(default_factory=two_spaces)
    artefact: Artefact = field(default_factory=model)
    asked: int = 0

    def ends(self, user: Id) -> tuple[int, int, int]:
        """Where the logs of a user end now."""
        where = [("behaviours", partition_of(user)), ("users", partition_of(user)), ("items", 0)]
        return tuple(len(self.logs.records.get(at, [])) for at in where)  # type: ignore[return-value]

    def ask(
        self,
        user: Id,
        candidates: Sequence[Id | Candidate],
        positions: tuple[int, int, int] | None = None,
        **options: Any,
    ) -> str:
        """Send a request and answer it from these positions, by default from all that there is; the request's id."""
        self.asked += 1
        request_id = str(options.pop("request_id", f"r{self.asked}"))
        key, value = encode_request(user, RequestValue(request_id=request_id, candidates=list(candidates), **options))
        self.logs.add("requests", partition_of(user), START_MS, key, value)
        request = parse_request(key, value, request_rules(self.settings))
        assert isinstance(request, Request), request
        answer = self._answer(user, request, positions or self.ends(user))
        self.logs.add("scores", partition_of(user), START_MS, key, encode_answer(answer))
        return request_id

    def _answer(self, user: Id, request: Request, positions: tuple[int, int, int]) -> Answer:
        with self.world() as world:
            moment, partition = Moment(0, *positions), partition_of(user)
            world.items.reach(moment)
            past = world.pasts[partition]
            assert isinstance(past, LogPast)
            past.see(request.user, moment)
            tables, space = world.tables, self.artefact.space
            vectors = tables.spaces[space]
            engine = engine_of(self.settings, vectors)
            live = Live(space, engine, vectors, tables.catalogue, Scorer(self.artefact))
            pipeline = Pipeline(
                Parts(
                    lease=lambda number: nullcontext(past._store),
                    live=lambda: live,
                    inverse_norms=inverse_norms,
                    profile=decode_profile,
                    items_moment=lambda: nullcontext(positions[2]),
                )
            )
            ask = Ask(partition, request, float("inf"), StageClock())
            (found,) = pipeline([ask])
            assert isinstance(found, Found), found
            return answers.computed(ask, found)

    @contextmanager
    def world(self, *artefacts: Artefact) -> Iterator[VerifyWorld]:
        with closing(VerifyWorld(self.setting(), models(*artefacts), ListReader(self.logs))) as world:
            yield world

    def setting(self) -> LogSetting:
        return LogSetting(self.settings, cluster(), "log", tuple(range(self.settings.topics.partitions)))

    def plant(self, request_id: str, **changes: Any) -> Answer:
        """Change an answer in its log; the one that was."""
        for records in (self.logs.records[at] for at in self.logs.records if at[0] == "scores"):
            for place, one in enumerate(records):
                answer = decode_answer(one.value or b"")
                if answer.request_id == request_id:
                    value = encode_answer(msgspec.structs.replace(answer, **changes))
                    records[place] = one._replace(value=value)
                    return answer
        message = f"no answer to {request_id}"
        raise AssertionError(message)

    def answer(self, request_id: str) -> Answer:
        """An answer as it lies in its log."""
        return self.plant(request_id)

    def verify(self, *artefacts: Artefact, wanted: Wanted | None = None, **more: Any) -> Report:
        """Verify, with these models or the one that answered."""
        run = Run(self.settings, models(*(artefacts or (self.artefact,))), wanted or Wanted(), ListReader(self.logs))
        with tempfile.TemporaryDirectory() as directory:
            return run.report(cluster(**more), Path(directory), Shows())


def cluster(**horizons: Horizon) -> Cluster:
    return Cluster("cluster", {"users": NEVER, "items": NEVER} | horizons)


def busy(seed: int = 3, answers: int = 20) -> Served:
    """All kinds of records and of requests."""
    served, dice = Served(mixed(seed)), random.Random(seed)
    for _ in range(answers):
        user = dice.choice(USERS)
        candidates: list[Id | Candidate] = [dice.randint(1, 13) for _ in range(dice.randint(1, 6))]
        filters = [None, FilterFields(exclude_candidate=True), FilterFields(since_ms=START_MS, actions=[1])]
        served.ask(
            user,
            candidates,
            tuple(dice.randint(end // 2, end) for end in served.ends(user)),  # type: ignore[arg-type]
            want=dice.choice(["scores", "retrieved", "both", "both"]),
            k=dice.choice([1, 3, 70]),
            context=dice.choice([{}, {"country": 9}]),
            filters=dice.choice(filters),
        )
    return served


def planted(artefact: Artefact, changes: dict[str, Any]) -> Artefact:
    """The artefact with other tensors, under a digest of its own."""
    found = artefact.model()
    state = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    for name, change in changes.items():
        state[name] = change(state[name])
    fresh = artefact.model()
    fresh.load_state_dict(state, assign=True)
    vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
    return Artefact.from_model(fresh, vocabularies, space=artefact.space, version="planted", trained=False)
