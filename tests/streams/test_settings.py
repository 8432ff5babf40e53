"""Settings: who wins, what is refused and with which words, what is never shown, and that the page is current."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from muse_stream.streams.errors import SettingsError
from muse_stream.streams.settings import Settings, problems, reference

ROOT = Path(__file__).parents[2]
SECRET = "correct horse"  # noqa: S105 -- made up


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("MUSE_")]:
        monkeypatch.delenv(name)


def written(directory: Path, text: str) -> Path:
    path = directory / "muse.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(config: Path | None = None, flags: dict[str, object] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(config, flags)
    return str(caught.value)


def test_the_defaults_are_complete() -> None:
    settings = Settings.load()
    assert settings.app.name == "muse"
    assert settings.topics.partitions == 8
    assert settings.state.cap == 100_000
    assert settings.actions["favourite"] == 3
    assert settings.items.spaces == {"v1": 128}
    assert settings.topics.dead_letters == "dead-letters"


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "kafka: {brokers: 'file:1', driver: confluent}\nstate: {cap: 7, ttl_seconds: 9}\n")
    monkeypatch.setenv("MUSE_KAFKA__BROKERS", "environment:1")
    monkeypatch.setenv("MUSE_STATE__CAP", "8")
    settings = Settings.load(file, {"kafka.brokers": "flag:1", "state.cap": None})
    assert settings.kafka.brokers == "flag:1"
    assert settings.state.cap == 8
    assert settings.state.ttl_seconds == 9
    assert settings.kafka.driver == "confluent"
    assert settings.state.duplicate_window == 100_000


def test_the_file_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_CONFIG", str(written(tmp_path, "state: {cap: 7}")))
    assert Settings.load().state.cap == 7
    other = tmp_path / "other.yaml"
    other.write_text("state: {cap: 6}", encoding="utf-8")
    assert Settings.load(other).state.cap == 6


def test_one_load_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    assert Settings.load(written(tmp_path, "state: {cap: 7}")).state.cap == 7
    assert Settings.load().state.cap == 100_000


def test_keywords_are_flags() -> None:
    assert Settings.model_validate({"topics": {"prefix": "a-"}}).topics.requests == "a-requests"


def test_lists_and_maps_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_FEATURES__USER", '["country"]')
    settings = Settings.load(written(tmp_path, "actions: {view: 3}\nitems: {spaces: {text: 64}}\n"))
    assert settings.features.user == ["country"]
    assert settings.actions == {"view": 3}
    assert settings.items.spaces == {"text": 64}


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    settings = Settings.load(written(tmp_path, "features: {user: [129_1, 213]}\nstate: {cap: 50_000}"))
    assert settings.features.user == ["129_1", "213"]
    assert settings.state.cap == 50_000


def test_an_empty_section_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    assert Settings.load(written(tmp_path, "kafka:\n")).kafka.brokers == "127.0.0.1:9092"
    assert Settings.load(written(tmp_path, "")).kafka.brokers == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka: {broker: 'x:1'}", "kafka.broker: unknown key; did you mean kafka.brokers?"),
        ("stat: {cap: 1}", "stat: unknown key; did you mean state?"),
        ("cap: 1", "cap: unknown key; did you mean state.cap?"),
        ("topics: {names: {item: x}}", "topics.names.item: unknown key; did you mean topics.names.items?"),
        ("http: {zzz: 1}", "http.zzz: unknown key; known here: enabled, host, advertised_host, port"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    assert refusal(file) == f"{said}\n(settings file: {file})"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, "kafka: {broker: 'x:1', driver: java}\nserving: {k: 1000}"))
    assert "kafka.broker:" in text
    assert "kafka.driver: Input should be 'kafka-python' or 'confluent' (found 'java')" in text
    assert "serving.k:" in text
    assert "(found 1000)" in text


def test_an_unknown_flag_is_refused() -> None:
    assert refusal(flags={"kafka.borkers": "x:1"}) == "kafka.borkers: unknown key; did you mean kafka.brokers?"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MUSE_KAFKA__BROKER", "did you mean MUSE_KAFKA__BROKERS?"),
        ("MUSE_STAET__CAP", "did you mean MUSE_STATE__CAP?"),
        ("muse_confg", "did you mean MUSE_CONFIG?"),
        ("MUSE_QQQ", "lists all"),
        ("MUSE_STATE__CAP__X", "did you mean MUSE_STATE__CAP?"),
    ],
)
def test_an_unknown_variable_names_the_nearest(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setenv(name, "1")
    assert refusal().endswith(said)
    assert name in refusal()


def test_known_variables_of_every_depth_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_ITEMS__SPACES__V2", "64")
    monkeypatch.setenv("MUSE_STATE", '{"cap": 3}')
    monkeypatch.setenv("MUSE_TOPICS__NAMES__ITEMS", "things")
    settings = Settings.load()
    assert (settings.items.spaces, settings.state.cap, settings.topics.items) == ({"v2": 64}, 3, "things")


def test_a_list_that_is_not_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_FEATURES__USER", "a,b")
    assert "written as JSON" in refusal()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka: {brokers: somewhere}", "'somewhere' is not an address"),
        ("kafka: {brokers: 'a:1,b:99999'}", "'b:99999' is not an address"),
        ("topics: {prefix: 'a b'}", "has characters that a topic name cannot have"),
        ("topics: {names: {users: items}}", "two topics cannot share a name"),
        ("actions: {a: 1, b: 1}", "a, b share a code"),
        ("actions: {a: 256}", "less than or equal to 255"),
        ("items: {spaces: {v1: 1088}}", "less than or equal to 1024"),
        ("items: {spaces: {v1: 100}}", "multiple of 64"),
        ("items: {spaces: {}}", "at least 1 item"),
        ("features: {item: [a, a]}", "empty or repeated name"),
        ("ingest: {batch_records_max: 0}", "greater than or equal to 1"),
        ("model: {active: best}", "path is not set"),
        ("kafka: 5", "kafka: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_value_says_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 5", "expected sections"),
        ("kafka: {", "not valid YAML"),
        ("kafka: {}\nkafka: {}", "line 2: 'kafka' is given twice"),
    ],
)
def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(written(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.yaml")


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_KAFKA__SECURITY__PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("MUSE_KAFKA__SECURITY__USERNAME", "ada")
    monkeypatch.setenv("MUSE_KAFKA__SECURITY__PASSWORD", SECRET)
    settings = Settings.load()
    password = settings.kafka.security.password
    assert password is not None
    assert password.get_secret_value() == SECRET
    for text in (settings.show_yaml(), json.dumps(settings.show()), repr(settings), str(settings)):
        assert SECRET not in text
    assert set(settings.show()["kafka"]["security"]["password"]) == {"*"}


@pytest.mark.parametrize("text", [f"kafka: {{security: {{password: ['{SECRET}']}}}}", f"kafka: '{SECRET}'"])
def test_a_secret_is_not_in_an_error(tmp_path: Path, text: str) -> None:
    assert SECRET not in refusal(written(tmp_path, text))


def test_what_is_shown_can_be_loaded(tmp_path: Path) -> None:
    settings = Settings.load(written(tmp_path, "state: {cap: 7}\nitems: {spaces: {v1: 128, text: 64}}"))
    again = Settings.load(written(tmp_path, settings.show_yaml()))
    assert again == settings


def test_the_schema_accepts_what_is_shown_and_refuses_unknown_keys() -> None:
    validator = jsonschema.Draft202012Validator(Settings.schema_for_editors())
    shown = yaml.safe_load(Settings.load().show_yaml())
    assert list(validator.iter_errors(shown)) == []
    assert list(validator.iter_errors({"stat": {}}))
    assert list(validator.iter_errors({"state": {"cap": 0}}))


def test_every_key_has_a_description_and_none_is_of_two_minds() -> None:
    for path, field in problems.leaves(Settings):
        assert field.description, f"{'.'.join(path)} has no description"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().state.cap = 1  # type: ignore[misc]


def test_the_page_is_current() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert page == reference.page(), "run: python -m muse_stream.streams.settings.reference > docs/settings.md"
