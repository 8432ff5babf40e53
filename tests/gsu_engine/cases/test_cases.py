"""A few thousand random cases; `make cases` runs a hundred thousand."""

import subprocess
import sys

import pytest

from muse_stream.gsu_engine.backends import choose
from tests.gsu_engine.cases.plants import PLANTS
from tests.gsu_engine.cases.runner import Backends, backends_of, paths_here, run_case, run_stories
from tests.gsu_engine.cases.story import SEARCHES
from tests.gsu_engine.cuda.stand_in import StandInBackend

SEED = 20_260_000
STORIES = 120
PLANT_STORIES = 60
"""Several times what the plant that is hardest to find takes."""


@pytest.fixture(scope="module")
def backends() -> Backends:
    return backends_of(paths_here()[0])


@pytest.mark.timeout(300)
def test_every_cpu_path_equals_the_definition(backends: Backends) -> None:
    outcome = run_stories(SEED, range(STORIES), backends)
    assert [str(failure) for failure in outcome.failures] == [], f"--seed {SEED} --case N shows one again"
    assert outcome.searches == STORIES * SEARCHES
    assert set(outcome.taken) == {path for path, _ in backends}
    assert outcome.never_taken() == {}
    for taken in outcome.taken.values():
        assert taken["cases"] == outcome.searches
        assert taken["standing"] > 100


def test_a_device_equals_the_definition_and_is_seen_to_answer() -> None:
    cpu = choose("cpu", 2)[0]
    outcome = run_stories(SEED, range(20), {("device", threads): StandInBackend(cpu) for threads in (1, 2)})
    assert [str(failure) for failure in outcome.failures] == []
    assert outcome.taken["device"]["on the device"] > outcome.searches // 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS)
def test_planted_bugs_are_found_and_found_again(backends: Backends, plant: str) -> None:
    with PLANTS[plant](backends) as planted:
        failures = run_stories(SEED, range(PLANT_STORIES), planted).failures
        assert failures, "nothing differs"
        assert {failure.path for failure in failures} <= {path for path, _ in backends}
        case = failures[0].case
        again = run_case(SEED, case, planted)
    assert again.wrong == {failure.path: failure.what for failure in failures}
    assert run_case(SEED, case, backends).wrong == {}


def test_a_case_does_not_depend_on_the_paths_that_take_part(backends: Backends) -> None:
    one = {(path, threads): made for (path, threads), made in backends.items() if path == "cpu"}
    case = 3 * SEARCHES + 5
    assert run_case(SEED, case, one).text == run_case(SEED, case, backends).text


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.gsu_engine.cases", *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_shows_one_case_and_counts_many() -> None:
    one = run("--paths", "array-numpy", "--case", "30")
    assert (one.returncode, one.stdout.splitlines()[1].split(" (")[0]) == (0, "array-numpy: equal")
    many = run("--paths", "array-numpy", "--cases", "20", "--json")
    assert many.returncode == 0, many.stderr
    assert '"cases": 24, "searches": 24' in many.stdout
    assert "s left" in many.stderr
    unknown = run("--paths", "cpu-mmx")
    assert unknown.returncode == 2
    assert "backend 'cpu-mmx' is unknown" in unknown.stderr
